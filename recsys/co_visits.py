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
from typing import NamedTuple

import numpy as np

from recsys.event_pairs import EventSequence, Floats, Integers, changed_pairs
from recsys.histories import History, HistoryEvent, HistoryRules
from schemas.events import Action, CoVisits, Relation

MAX_ENTRIES = 5_000
"""Companions or visits in one message at most, so that the busiest product's message stays within its limit."""


@dataclass(frozen=True, slots=True)
class ActionWeights:
    """What an action says of a shopper's interest, where a view says one."""

    view: float = 1.0
    cart_add: float = 2.0
    purchase: float = 3.0

    def of(self, action: int, quantity: float) -> float:
        """Weight of an event; each doubling of the quantity adds one more action, a return takes it back."""
        weight = (self.view, self.cart_add, self.purchase)[action]
        if quantity == 1.0:
            return weight
        units = abs(quantity)
        return math.copysign(weight * (1.0 + math.log2(units) if units > 1.0 else units), quantity)


@dataclass(frozen=True, slots=True)
class PairRules:
    """Which events make a pair, and how its strength falls with the time between them: 1 / (1 + between / gap)."""

    view_window_ms: int = 1_800_000
    view_gap_ms: int = 60_000
    purchase_window_ms: int = 7 * 86_400_000
    purchase_gap_ms: int = 86_400_000
    max_companions: int = 20
    """How many views, or purchases, further on the last is that an event makes a pair with."""
    weights: ActionWeights = field(default_factory=ActionWeights)

    def window_ms(self, action: int) -> int:
        """How far apart two events of an action may be; actions that make no pairs have none."""
        return (self.view_window_ms, 0, self.purchase_window_ms)[action]


class _Companions(NamedTuple):
    """What was visited with what; owners and products by their numbers in the batch."""

    owners: Integers
    products: Integers
    companions: Integers
    times_ms: Integers
    relations: Integers
    strengths: Floats


class _Touched:
    """A history that a batch adds to."""

    __slots__ = ("before", "cause", "dropped", "events", "history", "reach_ms")

    def __init__(self, event: HistoryEvent, history: History, cause: int) -> None:
        self.history = history
        self.before = history.copy()
        """As it was after the first of ``events``."""
        self.dropped = history.dropped
        self.events = [event]
        self.reach_ms = event.event_time_ms
        """The earliest time that the events can be paired with."""
        self.cause = cause

    def steps(self, rules: HistoryRules) -> Iterator[tuple[History, Sequence[HistoryEvent]]]:
        """The history and its new events; one by one where what they are paired with was dropped meanwhile."""
        history = self.history
        if history.dropped == self.dropped or history.oldest_ms() < self.reach_ms:
            yield history, self.events
            return
        history = self.before
        yield history, self.events[:1]
        for event in self.events[1:]:
            history.add(event, rules)
            yield history, [event]


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
    """Gathers the pairs that a batch of events makes, one message a product; a batch equals one by one."""

    def __init__(self, rules: PairRules, history_rules: HistoryRules) -> None:
        self._rules = rules
        self._history_rules = history_rules
        self._numbers: dict[str, int] = {}
        self._causes: list[tuple[str, int]] = []
        self._visited: list[int] = []
        self._visits: dict[int, list[tuple[int, int, float]]] = {}
        self._touched: dict[int, _Touched] = {}

    def add(self, event: HistoryEvent, history: History, cause: tuple[str, int]) -> None:
        """Count an event that was added to its history just now; ``cause`` is (caused_by, caused_at_ms)."""
        place = len(self._causes)
        self._causes.append(cause)
        at_ms, action = event.event_time_ms, event.action
        number = self._numbers.setdefault(event.product_id, len(self._numbers))
        self._visited.append(number)
        self._visits.setdefault(number, []).append((at_ms, action, self._rules.weights.of(action, event.quantity)))
        touched = self._touched.get(id(history))
        if touched is None:
            touched = self._touched[id(history)] = _Touched(event, history, place)
        else:
            touched.events.append(event)
            if cause[1] >= self._causes[touched.cause][1]:
                touched.cause = place
        touched.reach_ms = min(touched.reach_ms, at_ms - self._rules.window_ms(action))

    def messages(self) -> Iterator[CoVisits]:
        """What was gathered, one message a product unless that would be too long."""
        owners_cause, companions = self._companions()
        order = np.argsort(companions.products, kind="stable")
        companions = _Companions(*(column[order] for column in companions))
        causes = self._newest_causes(companions, owners_cause)
        ids = list(self._numbers)
        bounds = np.searchsorted(companions.products, np.arange(len(ids) + 1)).tolist()
        columns = (
            [ids[number] for number in companions.companions.tolist()],
            companions.times_ms.tolist(),
            companions.relations.tolist(),
            companions.strengths.tolist(),
        )
        for number, product_id in enumerate(ids):
            begin, end = bounds[number : number + 2]
            visits = self._visits.get(number, [])
            for start in range(0, max(len(visits), end - begin), MAX_ENTRIES):
                part = slice(begin + start, min(begin + start + MAX_ENTRIES, end))
                entries = [column[part] for column in columns]
                times, actions, weights = _columns(visits[start : start + MAX_ENTRIES])
                yield CoVisits(product_id, times, actions, weights, *entries, *self._causes[causes[number]])

    def _companions(self) -> tuple[list[int], _Companions]:
        """The newest cause of each owner, and the companions that its events make."""
        rules = self._rules
        views = _Gathering(Action.VIEW, rules.view_window_ms)
        purchases = _Gathering(Action.PURCHASE, rules.purchase_window_ms)
        causes: list[int] = []
        for touched in self._touched.values():
            for history, events in touched.steps(self._history_rules):
                views.take(len(causes), history, events, self._numbers)
                purchases.take(len(causes), history, events, self._numbers)
                causes.append(touched.cause)
        viewed = _viewed_together(views.sequence(), rules)
        bought = _bought_together(purchases.sequence(), rules)
        return causes, _Companions(*map(np.concatenate, zip(viewed, bought, strict=True)))

    def _newest_causes(self, companions: _Companions, owners_cause: Sequence[int]) -> list[int]:
        """The place of the newest cause of each product's message, by product number."""
        by_age = np.argsort([caused_at_ms for _, caused_at_ms in self._causes], kind="stable")
        rank = np.empty_like(by_age)
        rank[by_age] = np.arange(len(by_age))
        newest = np.zeros(len(self._numbers), np.intp)
        np.maximum.at(newest, np.array(self._visited, np.intp), rank)
        owners_rank = rank[np.array(owners_cause, np.intp)]
        np.maximum.at(newest, companions.products, owners_rank[companions.owners])
        newest_causes: list[int] = by_age[newest].tolist()
        return newest_causes


def _viewed_together(events: EventSequence, rules: PairRules) -> _Companions:
    """Either product is the other's companion; a product that is viewed again is its own, after itself."""
    first, second, signs = changed_pairs(events, rules.view_window_ms, rules.max_companions)
    earlier, later = events.products[first], events.products[second]
    strengths = signs / (1.0 + (events.times_ms[second] - events.times_ms[first]) / rules.view_gap_ms)
    other = earlier != later
    before = second[other]
    return _Companions(
        np.concatenate([events.owners[first], events.owners[before]]),
        np.concatenate([earlier, later[other]]),
        np.concatenate([later, earlier[other]]),
        np.concatenate([events.times_ms[second], events.times_ms[before]]),
        np.repeat([Relation.AFTER, Relation.BEFORE], [len(first), len(before)]),
        np.concatenate([strengths, strengths[other]]),
    )


def _bought_together(events: EventSequence, rules: PairRules) -> _Companions:
    """Either product is the other's companion."""
    first, second, signs = changed_pairs(events, rules.purchase_window_ms, rules.max_companions)
    strengths = signs / (1.0 + (events.times_ms[second] - events.times_ms[first]) / rules.purchase_gap_ms)
    other = events.products[first] != events.products[second]
    first, second, strengths = first[other], second[other], strengths[other]
    return _Companions(
        np.tile(events.owners[first], 2),
        np.concatenate([events.products[first], events.products[second]]),
        np.concatenate([events.products[second], events.products[first]]),
        np.tile(events.times_ms[second], 2),
        np.full(2 * len(first), int(Relation.BOUGHT_TOGETHER)),
        np.tile(strengths, 2),
    )


def _columns(visits: Sequence[tuple[int, int, float]]) -> tuple[Sequence[int], Sequence[int], Sequence[float]]:
    times, actions, weights = zip(*visits, strict=True) if visits else ((), (), ())
    return times, actions, weights
