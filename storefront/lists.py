"""``recommendation-updated`` as a table: the list of every kind and subject as it is now.

table = ListTable()
with TopicFollower(settings, [RECOMMENDATION_UPDATED]) as follower:
    while True:
        for change in table.apply(follower.poll(timeout_ms=500)):
            ...
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple

from consumers.runtime.records import Record
from schemas.codec import decoder
from schemas.errors import ContractError
from schemas.events import RecommendationUpdated
from schemas.keys import check_key
from schemas.topics import RECOMMENDATION_UPDATED


class ListChange(NamedTuple):
    """What a list was and is; ``after`` is None for one that was withdrawn, ``before`` where none was known."""

    kind: str
    subject: str
    before: RecommendationUpdated | None
    after: RecommendationUpdated | None
    published_at_ms: int
    """Timestamp of the message, milliseconds since the Unix epoch."""

    @property
    def entered(self) -> list[str]:
        """Products that are in the list and were not, best first."""
        known = set(_product_ids(self.before))
        return [product_id for product_id in _product_ids(self.after) if product_id not in known]

    @property
    def left(self) -> list[str]:
        """Products that were in the list and are not, best first."""
        kept = set(_product_ids(self.after))
        return [product_id for product_id in _product_ids(self.before) if product_id not in kept]

    @property
    def moved(self) -> list[str]:
        """Products that stayed in the list at another rank, best first."""
        rank = {product_id: rank for rank, product_id in enumerate(_product_ids(self.before))}
        now = enumerate(_product_ids(self.after))
        return [product_id for place, product_id in now if rank.get(product_id, place) != place]


class Listed(NamedTuple):
    """A list as it is now, and when it was published, milliseconds since the Unix epoch."""

    recommendation: RecommendationUpdated
    published_at_ms: int


class ListTable:
    """The lists as they are now; an older revision never replaces a newer one.

    ``wants`` says by its key whether a list is kept at all, before anything is decoded. ``max_lists`` bounds
    memory: beyond it the list that has not changed for longest is forgotten. ``get`` and ``counts`` may be
    called from other threads while one thread applies.
    """

    def __init__(self, *, wants: Callable[[str], bool] | None = None, max_lists: int | None = None) -> None:
        self._wants = wants
        self._max_lists = max_lists
        self._decode = decoder(RECOMMENDATION_UPDATED.name)
        self._lists: OrderedDict[str, Listed] = OrderedDict()
        self._counts: Counter[str] = Counter()
        self.unreadable = 0
        """Messages that could not be decoded; their lists stayed as they were."""
        self.stale = 0
        """Messages with an older revision than the one known; they changed nothing."""

    def __len__(self) -> int:
        return len(self._lists)

    @property
    def counts(self) -> dict[str, int]:
        """How many lists there are of each kind."""
        return dict(self._counts)

    def get(self, kind: str, subject: str) -> RecommendationUpdated | None:
        """The list as it is now; None where there is none."""
        listed = self._lists.get(f"{kind}:{subject}")
        return None if listed is None else listed.recommendation

    def listed(self, key: str) -> Listed | None:
        """The list of a key, ``kind:subject``, and when it was published; None where there is none."""
        return self._lists.get(key)

    def apply(self, records: Sequence[Record]) -> list[ListChange]:
        """Take records of recommendation-updated in order; returns what changed, in that order."""
        return [change for record in records if (change := self._apply(record)) is not None]

    def _apply(self, record: Record) -> ListChange | None:
        if record.topic != RECOMMENDATION_UPDATED.name or record.key is None:
            return None
        key = record.key.decode(errors="replace")
        if self._wants is not None and not self._wants(key):
            return None
        known = self._lists.get(key)
        before = None if known is None else known.recommendation
        after = None
        if record.value is not None:
            after = self._read(key, record.value)
            if after is None:
                return None
            if before is not None and after.revision <= before.revision:
                self.stale += after.revision < before.revision
                return None
        elif before is None:
            return None
        self._put(key, after, record.timestamp_ms)
        return ListChange(*_kind_and_subject(key), before, after, record.timestamp_ms)

    def _read(self, key: str, value: bytes) -> RecommendationUpdated | None:
        try:
            event = self._decode(value)
            check_key(event, key)
        except ContractError:
            self.unreadable += 1
            return None
        assert isinstance(event, RecommendationUpdated)
        return event

    def _put(self, key: str, after: RecommendationUpdated | None, published_at_ms: int) -> None:
        self._forget(key)
        if after is None:
            return
        self._lists[key] = Listed(after, published_at_ms)
        self._counts[after.kind] += 1
        if self._max_lists is not None and len(self._lists) > self._max_lists:
            self._forget(next(iter(self._lists)))

    def _forget(self, key: str) -> None:
        forgotten = self._lists.pop(key, None)
        if forgotten is not None:
            self._counts[forgotten.recommendation.kind] -= 1


def _kind_and_subject(key: str) -> tuple[str, str]:
    kind, _, subject = key.partition(":")
    return kind, subject


def _product_ids(recommendation: RecommendationUpdated | None) -> list[str]:
    return [] if recommendation is None else [item.product_id for item in recommendation.items]
