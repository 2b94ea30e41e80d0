"""What each shopper did of late: a bounded history, the same in whatever order its events arrive.

A history is the ``max_events`` latest events by (event_time_ms, event_hash) that are no older than the retention
before the latest of them. Both are properties of the set of events, so order does not matter; where a late event
is counted as ``expired``, it would have been pushed out had it come in time.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

from schemas.events import Action, Interaction, UserHistory

EventRow = tuple[int, int, str, int, float]
"""What a ``HistoryEvent`` holds, without its names."""

ADDED = "added"
DUPLICATE = "duplicate"
EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class HistoryRules:
    """How long a history may grow, and how far it may reach back."""

    max_events: int = 200
    retention_ms: int = 365 * 86_400_000


class HistoryEvent(NamedTuple):
    """One thing that a shopper did with a product; ordered by time, and by hash where times are equal."""

    event_time_ms: int
    event_hash: int
    product_id: str
    action: int
    quantity: float


def event_hash(event_id: str) -> int:
    """First 64 bits of BLAKE2b, as a signed integer."""
    return int.from_bytes(blake2b(event_id.encode(), digest_size=8).digest(), "little", signed=True)


def _own(product_id: str) -> str:
    return product_id


def history_event(event: Interaction, action: Action, shared_id: Callable[[str], str] = _own) -> HistoryEvent:
    """What a history keeps of an event; ``shared_id`` gives the one object that histories share for an id."""
    quantity = getattr(event, "quantity", 1.0)
    product_id = shared_id(event.product_id)
    return HistoryEvent(event.event_time_ms, event_hash(event.event_id), product_id, int(action), quantity)


_NO_ATTRIBUTES: Mapping[str, str] = {}


class History:
    """One shopper's events in order, in columns, their profile, and the list that was last published for them.

    Memory: about 0.6 kB + 33 bytes an event, where product ids are shared.
    """

    __slots__ = (
        "_actions",
        "_hashes",
        "_product_ids",
        "_quantities",
        "_times",
        "attributes",
        "is_quarantined",
        "listed",
        "revision",
    )

    def __init__(self) -> None:
        self._times = array("q")
        self._hashes = array("q")
        self._product_ids: list[str] = []
        self._actions = bytearray()
        self._quantities = array("d")
        self.attributes: Mapping[str, str] = _NO_ATTRIBUTES
        self.is_quarantined = False
        self.listed: tuple[str, ...] = ()
        self.revision = 0

    def __len__(self) -> int:
        return len(self._times)

    def __iter__(self) -> Iterator[HistoryEvent]:
        """The events, oldest first."""
        columns = (self._times, self._hashes, self._product_ids, self._actions, self._quantities)
        return map(HistoryEvent, *columns)

    def latest(self) -> Iterator[EventRow]:
        """The events, latest first."""
        times, hashes = reversed(self._times), reversed(self._hashes)
        others = (reversed(self._product_ids), reversed(self._actions), reversed(self._quantities))
        return zip(times, hashes, *others, strict=True)

    def add(self, event: HistoryEvent, rules: HistoryRules) -> str:
        """Put an event in its place; ``ADDED``, or ``DUPLICATE`` or ``EXPIRED`` where nothing changes."""
        times, hashes = self._times, self._hashes
        at_ms, own_hash, product_id, action, quantity = event
        if own_hash in hashes:
            return DUPLICATE
        if not times or at_ms > times[-1]:
            place = len(times)
        elif at_ms < times[-1] - rules.retention_ms:
            return EXPIRED
        else:
            place = bisect_left(times, at_ms)
            while place < len(times) and times[place] == at_ms and hashes[place] < own_hash:
                place += 1
            if place == 0 and len(times) >= rules.max_events:
                return EXPIRED
        times.insert(place, at_ms)
        hashes.insert(place, own_hash)
        self._product_ids.insert(place, product_id)
        self._actions.insert(place, action)
        self._quantities.insert(place, quantity)
        if len(times) > rules.max_events or times[0] < times[-1] - rules.retention_ms:
            self._forget(max(len(times) - rules.max_events, bisect_left(times, times[-1] - rules.retention_ms)))
        return ADDED

    def add_all(self, events: Sequence[HistoryEvent], rules: HistoryRules) -> list[str]:
        """Put events in their places, in this order; what became of each, as ``add`` tells."""
        ordered = sorted(events)
        if not self._goes_on_with(ordered, rules):
            return [self.add(event, rules) for event in events]
        times, hashes, product_ids, actions, quantities = zip(*ordered, strict=True)
        self._times.extend(times)
        self._hashes.extend(hashes)
        self._product_ids.extend(product_ids)
        self._actions.extend(actions)
        self._quantities.extend(quantities)
        return [ADDED] * len(events)

    def _goes_on_with(self, ordered: Sequence[HistoryEvent], rules: HistoryRules) -> bool:
        """True where events are all new, later than those that there are, and none makes room for another."""
        hashes = {event[1] for event in ordered}
        return (
            len(hashes) == len(ordered) > 0
            and (not self._times or ordered[0][0] > self._times[-1])
            and hashes.isdisjoint(self._hashes)
            and self.has_room(ordered, rules)
        )

    def has_room(self, events: Sequence[HistoryEvent], rules: HistoryRules) -> bool:
        """True where none of its events, nor of these, would make room for others if these were added."""
        times = [*self._times[:1], *self._times[-1:], *(event[0] for event in events)]
        span_ms = max(times, default=0) - min(times, default=0)
        return len(self._times) + len(events) <= rules.max_events and span_ms <= rules.retention_ms

    @property
    def nbytes(self) -> int:
        """Bytes that it takes, but for the product ids, which histories share."""
        columns = (self._times, self._hashes, self._product_ids, self._actions, self._quantities, self.listed)
        return self.__sizeof__() + sum(column.__sizeof__() for column in columns)

    @property
    def quantities(self) -> Sequence[float]:
        """Quantity of each event, oldest first; not to be changed."""
        return self._quantities

    def latest_ms(self, place: int = 1) -> int:
        """Time of the latest event, or of a place from there on; raises ``IndexError`` where there is none."""
        return self._times[-place]

    def oldest_ms(self) -> int:
        """Time of the oldest event that is kept; raises ``IndexError`` where there is none."""
        return self._times[0]

    def between(
        self, from_ms: int, to_ms: int
    ) -> tuple[array[int], array[int], list[str], bytearray, array[float]]:
        """Columns of the events from one time to another, both included, oldest first, as ``HistoryEvent``."""
        part = slice(bisect_left(self._times, from_ms), bisect_right(self._times, to_ms))
        quantities = self._quantities[part]
        return self._times[part], self._hashes[part], self._product_ids[part], self._actions[part], quantities

    def copy(self) -> History:
        """Another history with the same events and no list."""
        other = History()
        other._times, other._hashes = self._times[:], self._hashes[:]
        other._product_ids, other._actions = self._product_ids[:], self._actions[:]
        other._quantities = self._quantities[:]
        return other

    def bought(self) -> set[str]:
        """Products bought and not returned as a whole."""
        if Action.PURCHASE not in self._actions:
            return set()
        units: dict[str, float] = {}
        for place, action in enumerate(self._actions):
            if action == Action.PURCHASE:
                product_id = self._product_ids[place]
                units[product_id] = units.get(product_id, 0.0) + self._quantities[place]
        return {product_id for product_id, left in units.items() if left > 0}

    def snapshot(self, subject: str) -> UserHistory:
        """The history as its changelog has it; its sequences are copies."""
        return UserHistory(
            subject=subject,
            event_hashes=self._hashes[:],
            event_times_ms=self._times[:],
            product_ids=list(self._product_ids),
            actions=array("B", self._actions),
            quantities=self._quantities[:],
            listed=self.listed,
            revision=self.revision,
            attributes=self.attributes,
            is_quarantined=self.is_quarantined,
        )

    @classmethod
    def of_state(cls, state: UserHistory, shared_id: Callable[[str], str] = _own) -> History:
        """The history that a snapshot was taken of; ``shared_id`` as in ``history_event``."""
        history = cls()
        history._hashes.extend(state.event_hashes)
        history._times.extend(state.event_times_ms)
        history._product_ids.extend(map(shared_id, state.product_ids))
        history._actions.extend(state.actions)
        history._quantities.extend(state.quantities)
        history.listed = tuple(map(shared_id, state.listed))
        history.revision = state.revision
        history.attributes = state.attributes or _NO_ATTRIBUTES
        history.is_quarantined = state.is_quarantined
        return history

    def _forget(self, oldest: int) -> None:
        """Drop so many of the oldest events."""
        if oldest > 0:
            for column in (self._times, self._hashes, self._product_ids, self._actions, self._quantities):
                del column[:oldest]
