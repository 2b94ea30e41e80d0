"""What the topics hold of one user: values that stand, replaced ones that compaction removes, and events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from consumers.runtime.records import Record
from schemas.codec import decode
from schemas.errors import ContractError
from schemas.events import Kind, RecommendationOutcome, SessionJoined
from schemas.topics import DEAD_LETTER, RECOMMENDATION_UPDATED, TOPICS, Topic
from storefront.dead_letters import read_dead_letter

_BY_SUBJECT = "user_id"
"""What a topic names as its key where that is a user's id, or a guest's session."""
_MAX_COMPACTION_LAG, _RETENTION, _SEGMENT = "max.compaction.lag.ms", "retention.ms", "segment.ms"


@dataclass(frozen=True, slots=True)
class Held:
    """What one topic holds of a user."""

    topic: Topic
    standing: int
    """Keys of a compacted topic whose value is the user's: they stay, unless they are replaced or withdrawn."""
    passing: int
    """Records that go by themselves: replaced values with compaction, events with their topic's retention."""
    until_ms: int | None
    """When the latter are gone at the latest; None where there are none, or where nothing says when."""


class Traces:
    """Finds a user's records among all; the memory it takes grows with what there is of that user alone.

    What is of a user: everything under their key, lists for them, outcomes of theirs, and what names a request of
    theirs as its cause.
    """

    def __init__(self, user: str) -> None:
        self._user = user
        self._key = user.encode()
        self._list_key = f"{Kind.FOR_YOU}:{user}".encode()
        self._causes = {f"{topic.name}/{user}" for topic in TOPICS.values() if topic.key == _BY_SUBJECT}
        self._standing: dict[str, set[bytes]] = {name: set() for name in TOPICS}
        self._found: Counter[str] = Counter()
        self._latest_ms: dict[str, int] = {}

    def take(self, records: Iterable[Record]) -> None:
        """Take records, those of a partition in order."""
        for record in records:
            is_of_user = self._is_of_user(record)
            standing = self._standing[record.topic]
            key = record.key or b""
            if is_of_user:
                self._found[record.topic] += 1
            if is_of_user or key in standing:
                self._latest_ms[record.topic] = max(record.timestamp_ms, self._latest_ms.get(record.topic, 0))
            if is_of_user and TOPICS[record.topic].compacted:
                standing.add(key)
            else:
                standing.discard(key)

    def standing(self, topic: Topic) -> Sequence[bytes]:
        """Keys of a compacted topic whose value is the user's."""
        return sorted(self._standing[topic.name])

    def held(self, configs: Mapping[str, Mapping[str, str]]) -> list[Held]:
        """What each topic that held anything holds now; ``configs`` are the cluster's own, by topic."""
        return [self._held(TOPICS[name], configs.get(name, {})) for name in TOPICS if self._found[name]]

    def _held(self, topic: Topic, config: Mapping[str, str]) -> Held:
        standing = len(self._standing[topic.name])
        passing = self._found[topic.name] - standing
        names = (_MAX_COMPACTION_LAG,) if topic.compacted else (_RETENTION, _SEGMENT)
        spans = [int(config.get(name, -1)) for name in names]
        known = passing > 0 and all(0 <= span < 1 << 53 for span in spans)
        return Held(topic, standing, passing, self._latest_ms[topic.name] + sum(spans) if known else None)

    def _is_of_user(self, record: Record) -> bool:
        topic, value = TOPICS[record.topic], record.value
        if value is None:
            return False
        if topic.key == _BY_SUBJECT and record.key == self._key:
            return True
        if topic is RECOMMENDATION_UPDATED and record.key == self._list_key:
            return True
        if topic is DEAD_LETTER:
            return record.key == self._key and self._was_refused_under_users(record)
        return self._key in value and self._is_named(topic, value)

    def _is_named(self, topic: Topic, value: bytes) -> bool:
        try:
            event = decode(topic.name, value)
        except ContractError:
            return False
        if isinstance(event, SessionJoined):
            return event.user_id == self._user
        if isinstance(event, RecommendationOutcome) and event.subject == self._user:
            return True
        return getattr(event, "caused_by", None) in self._causes

    def _was_refused_under_users(self, record: Record) -> bool:
        letter = read_dead_letter(record)
        return letter is None or letter.topic not in TOPICS or TOPICS[letter.topic].key == _BY_SUBJECT
