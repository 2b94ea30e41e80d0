"""Which products are visited together: pairs of events that are near each other in a shopper's history.

Two views make a pair where they are within a window of each other and at most ``max_companions`` views apart, and
so do two purchases. The strength of a pair depends on its two event times alone, and which pairs there are follows
from the set of events, so sums over them do not depend on the order of arrival: where a late view comes in between
two others that are too far apart by then, their pair is taken back with a negative strength.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from recsys.event_pairs import EventPairs, EventSequence, changed_pairs
from recsys.grouping import grouped
from recsys.histories import ADDED, History, HistoryEvent, HistoryRules
from schemas.events import Action, CoVisits, Relation

MAX_ENTRIES = 5_000
"""Companions or visits in one message at most, so that the busiest product's message stays within its limit."""


@dataclass(frozen=True, slots=True)
class ActionWeights:
    """What an action says of a shopper's interest, where a view says one."""

    view: float = 1.0
    cart_add: float = 2.0
    purchase: float = 3.0

    @property
    def once(self) -> tuple[float, float, float]:
        """Weights by action of events with one unit."""
        return self.view, self.cart_add, self.purchase

    def of(self, action: int, quantity: float) -> float:
        """Weight of an event; each doubling of the quantity adds one more action, a return takes it back."""
        weight, units = self.once[action], abs(quantity)
        return math.copysign(weight * (1.0 + math.log2(units) if units > 1.0 else units), quantity)

    def each(self, actions: Sequence[int], quantities: Sequence[float]) -> list[float]:
        """Weights of many events."""
        once, pairs = self.once, zip(actions, quantities, strict=True)
        return [once[action] if quantity == 1.0 else self.of(action, quantity) for action, quantity in pairs]


@dataclass(frozen=True, slots=True)
class PairRules:
    """Which events make a pair, and how its strength falls with the time between them: 1 / (1 + between / gap)."""

    view_window_ms: int = 1_800_000
    view_gap_ms: int = 60_000
    purchase_window_ms: int = 7 * 86_400_000
    purchase_gap_ms: int = 86_400_000
    max_companions: int = 10
    """How many views, or purchases, further on the last is that an event makes a pair with."""
    weights: ActionWeights = field(default_factory=ActionWeights)

    def window_ms(self, action: int) -> int:
        """How far apart two events of an action may be; actions that make no pairs have none."""
        return (self.view_window_ms, 0, self.purchase_window_ms)[action]


class Companions(NamedTuple):
    """What was visited with what, a column each; owners and products are numbers in the batch."""

    owners: NDArray[np.int64]
    products: NDArray[np.int64]
    companions: NDArray[np.int64]
    times_ms: NDArray[np.int64]
    relations: NDArray[np.uint8]
    strengths: NDArray[np.float64]


class Cause(Protocol):
    """What outputs are put down to, such as a message."""

    @property
    def cause(self) -> str:
        """As ``caused_by`` names it."""
        ...

    @property
    def timestamp_ms(self) -> int:
        """The broker's time of it, milliseconds since the Unix epoch."""
        ...


class _Gathering:
    """Puts a sequence of one action's events together."""

    def __init__(self, action: int, window_ms: int) -> None:
        self._action = action
        self._window_ms = window_ms
        self._owners = array("q")
        self._rows: list[tuple[int, int, bool]] = []

    def take(self, owner: int, history: History, events: Sequence[HistoryEvent], numbers: dict[str, int]) -> None:
        """Take what the new ``events`` can make pairs with, and themselves."""
        own = self._action
        new = {
            event.event_hash: event.event_time_ms for event in events if event.action == own and event.quantity > 0
        }
        if not new:
            return
        times = new.values()
        columns = history.between(min(times) - self._window_ms, max(times) + self._window_ms)
        rows = [
            (at_ms, numbers.setdefault(product_id, len(numbers)), event_hash in new)
            for at_ms, event_hash, product_id, action, quantity in zip(*columns, strict=True)
            if action == own and quantity > 0
        ]
        self._rows += rows
        self._owners.extend([owner] * len(rows))

    def sequence(self) -> EventSequence:
        """What was taken."""
        times, products, new = np.array(self._rows, np.int64).reshape(-1, 3).T
        return EventSequence(np.frombuffer(self._owners, np.int64), times, products, new.astype(bool))


class CoVisitBatch:
    """Adds a batch of events to histories and gathers the pairs they make; a batch equals one by one."""

    def __init__(self, rules: PairRules, history_rules: HistoryRules) -> None:
        self._rules = rules
        self._history_rules = history_rules
        self._numbers: dict[str, int] = {}
        self._views = _Gathering(Action.VIEW, rules.view_window_ms)
        self._purchases = _Gathering(Action.PURCHASE, rules.purchase_window_ms)
        self._events: list[HistoryEvent] = []
        self._causes: list[Cause] = []
        self._owners: list[int] = []
        """Whose event it is: events that were added together to one history have the same owner."""

    def add(self, history: History, events: Sequence[HistoryEvent], causes: Sequence[Cause]) -> list[str]:
        """Add events to a history in this order; what became of each: ``ADDED``, ``DUPLICATE`` or ``EXPIRED``."""
        rules = self._history_rules
        before = None if history.has_room(events, rules) else history.copy()
        outcomes = history.add_all(events, rules)
        added = [event for event, outcome in zip(events, outcomes, strict=True) if outcome == ADDED]
        if not added:
            return outcomes
        self._events += added
        self._causes += [cause for cause, outcome in zip(causes, outcomes, strict=True) if outcome == ADDED]
        if before is None or history.oldest_ms() < self._reach_ms(added):
            self._gather(history, added)
        else:
            # What some events are paired with made room for others meanwhile.
            for event in added:
                before.add(event, rules)
                self._gather(before, [event])
        return outcomes

    def _gather(self, history: History, added: Sequence[HistoryEvent]) -> None:
        owner = self._owners[-1] + 1 if self._owners else 0
        self._owners += [owner] * len(added)
        self._views.take(owner, history, added, self._numbers)
        self._purchases.take(owner, history, added, self._numbers)

    def _reach_ms(self, added: Sequence[HistoryEvent]) -> int:
        """The earliest time that an event is paired with."""
        return min(event.event_time_ms - self._rules.window_ms(event.action) for event in added)

    def messages(self) -> Iterator[CoVisits]:
        """What was gathered, one message a product unless that would be too long."""
        if not self._events:
            return
        visited, times_ms, actions, weights = self._visits()
        viewed = _viewed_together(self._views.sequence(), self._rules)
        bought = _bought_together(self._purchases.sequence(), self._rules)
        together = _joined([viewed, bought])
        causes = self._newest_causes(visited, actions, together)
        product_ids = list(self._numbers)
        order, visit_bounds = grouped(visited, len(product_ids))
        visits = [_packable("q", times_ms[order]), _packable("B", actions[order]), _packable("d", weights[order])]
        order, bounds = grouped(together.products, len(product_ids))
        companions = [
            list(map(product_ids.__getitem__, together.companions[order].tolist())),
            _packable("q", together.times_ms[order]),
            _packable("B", together.relations[order]),
            _packable("d", together.strengths[order]),
        ]
        places = zip(pairwise(visit_bounds.tolist()), pairwise(bounds.tolist()), strict=True)
        for product_id, cause, (own_visits, own) in zip(product_ids, causes, places, strict=True):
            for start in range(0, max(own_visits[1] - own_visits[0], own[1] - own[0]), MAX_ENTRIES):
                yield _message(
                    product_id, [*_parts(visits, own_visits, start), *_parts(companions, own, start)], cause
                )

    def _visits(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8], NDArray[np.float64]]:
        """Products by their numbers, times, actions and weights of all events."""
        times, _, ids, actions, quantities = zip(*self._events, strict=True)
        numbers = self._numbers
        visited = np.array([numbers.setdefault(product_id, len(numbers)) for product_id in ids], np.int64)
        weights = np.array(self._rules.weights.each(actions, quantities))
        return visited, np.array(times, np.int64), np.array(actions, np.uint8), weights

    def _newest_causes(
        self, visited: NDArray[np.int64], actions: NDArray[np.uint8], together: Companions
    ) -> list[Cause]:
        """The newest cause of each product's message, by product number."""
        by_age = np.argsort([cause.timestamp_ms for cause in self._causes], kind="stable")
        rank = np.empty_like(by_age)
        rank[by_age] = np.arange(len(by_age))
        owners = np.array(self._owners, np.intp)
        owners_newest = np.zeros(owners[-1] + 1, np.intp)
        np.maximum.at(owners_newest, owners, np.where(actions == Action.CART_ADD, 0, rank))
        newest = np.zeros(len(self._numbers), np.intp)
        np.maximum.at(newest, visited, rank)
        np.maximum.at(newest, together.products, owners_newest[together.owners])
        return [self._causes[place] for place in by_age[newest].tolist()]


def _viewed_together(events: EventSequence, rules: PairRules) -> Companions:
    """Either product is the other's companion; a product that is viewed again is its own, after itself."""
    pairs = changed_pairs(events, rules.view_window_ms, rules.max_companions)
    after = _companions(events, pairs, rules.view_gap_ms, Relation.AFTER)
    before = _turned(after)
    return _joined([after, before._replace(relations=np.full_like(before.relations, Relation.BEFORE))])


def _bought_together(events: EventSequence, rules: PairRules) -> Companions:
    """Either product is the other's companion."""
    pairs = changed_pairs(events, rules.purchase_window_ms, rules.max_companions)
    different = events.products[pairs.first] != events.products[pairs.second]
    pairs = EventPairs(*(column[different] for column in pairs))
    together = _companions(events, pairs, rules.purchase_gap_ms, Relation.BOUGHT_TOGETHER)
    return _joined([together, _turned(together)])


def _companions(events: EventSequence, pairs: EventPairs, gap_ms: int, relation: Relation) -> Companions:
    """The later product of each pair as the companion of the earlier."""
    first, second, signs = pairs
    times_ms = events.times_ms[second]
    strengths = signs / (1.0 + (times_ms - events.times_ms[first]) / gap_ms)
    relations = np.full(len(first), relation, np.uint8)
    return Companions(
        events.owners[first], events.products[first], events.products[second], times_ms, relations, strengths
    )


def _turned(companions: Companions) -> Companions:
    """The same with products and companions changed about, where they are not the same."""
    turned = companions._replace(products=companions.companions, companions=companions.products)
    different = turned.products != turned.companions
    return Companions(*(column[different] for column in turned))


def _joined(parts: Sequence[Companions]) -> Companions:
    return Companions(*map(np.concatenate, zip(*parts, strict=True)))


def _packable(type_code: str, column: NDArray[Any]) -> array[Any]:
    """A column that is written as it is, without looking at its numbers one by one."""
    return array(type_code, column.tobytes())


def _parts(columns: Sequence[Any], own: tuple[int, int], start: int) -> list[Any]:
    """A product's part of some columns, from ``start`` within it, ``MAX_ENTRIES`` long at most."""
    part = slice(own[0] + start, min(own[0] + start + MAX_ENTRIES, own[1]))
    return [column[part] for column in columns]


def _message(product_id: str, columns: Sequence[Any], cause: Cause) -> CoVisits:
    times, actions, weights, ids, later_ms, relations, strengths = columns
    at_ms = cause.timestamp_ms
    return CoVisits(product_id, times, actions, weights, ids, later_ms, relations, strengths, cause.cause, at_ms)
