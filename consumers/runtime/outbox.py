"""Everything that one transaction will write, gathered while a stage works on a batch."""

from __future__ import annotations

from collections import Counter
from typing import Any

from consumers.runtime.dead_letters import dead_letter
from consumers.runtime.records import Headers, Message, OutRecord
from schemas.codec import encode
from schemas.errors import ConfigurationError
from schemas.events import Event, RecommendationUpdated
from schemas.keys import key_of
from schemas.registry import EVENT_TYPES
from schemas.topics import Topic

PROCESSED = "processed"
DEAD_LETTER = "dead-letter"

_TOPIC_NAMES = {event_type: name for name, event_type in EVENT_TYPES.items()}


class Outbox:
    """Outputs of a batch; the runtime commits them with the changelog and the input offsets, or not at all."""

    def __init__(self, stage_name: str) -> None:
        self._stage_name = stage_name
        self.records: list[OutRecord] = []
        self.outcomes: Counter[tuple[str, str]] = Counter()
        """Input messages by (topic, outcome) where the outcome is other than ``processed``."""
        self.observed: dict[tuple[str, ...], float] = {}
        """Things a stage counts on its own, by name and labels."""
        self.measured: dict[str, float] = {}
        """What a stage measures of itself, by name, as it is now."""
        self.lists: list[tuple[str, int]] = []
        """(kind, caused_at_ms) of each list published, for freshness."""
        self.deferred: set[tuple[str, int, int]] = set()
        self.settled: set[tuple[str, int, int]] = set()

    def publish(self, event: Event, *, partition: int | None = None) -> None:
        """Write an event to its topic, under its own key.

        A record of the stage's own changelog names the ``partition`` of the shard that it belongs to.
        """
        name = _TOPIC_NAMES[type(event)]
        self.records.append(OutRecord(name, key_of(event).encode(), encode(event), partition))
        if isinstance(event, RecommendationUpdated):
            self.lists.append((event.kind, event.caused_at_ms))

    def retract(self, topic: Topic, key: str, *, partition: int | None = None, headers: Headers = ()) -> None:
        """Write a tombstone: the key's value is no more."""
        if not topic.compacted:
            raise ConfigurationError(f"{topic.name} is not compacted, so a tombstone there would mean nothing")
        self.records.append(OutRecord(topic.name, key.encode(), None, partition, headers))

    def refuse(self, message: Message[Any], error: Exception) -> None:
        """Put an input message on the dead-letter topic, as it came, with the reason."""
        self.records.append(dead_letter(message.record, error, self._stage_name))
        self.count(message, DEAD_LETTER)

    def count(self, message: Message[Any], outcome: str) -> None:
        """Say that an input message came to something else than ``processed``, such as ``duplicate``."""
        self.outcomes[message.topic, outcome] += 1

    def observe(self, name: str, *labels: str, amount: float = 1) -> None:
        """Count something of the stage's own, such as image fetches by their outcome."""
        self.observed[name, *labels] = self.observed.get((name, *labels), 0) + amount

    def measure(self, name: str, value: float) -> None:
        """Say how something stands now, such as the recall of a search that is not exact."""
        self.measured[name] = value

    def defer(self, message: Message[Any]) -> None:
        """Hold back the offset of a message whose work goes on in the background."""
        self.deferred.add((message.topic, message.partition, message.offset))

    def settle(self, message: Message[Any]) -> None:
        """The work of a deferred message is finished; its offset may be committed with these outputs."""
        self.settled.add((message.topic, message.partition, message.offset))
