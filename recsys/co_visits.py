"""Which products are visited together: every pair of a shopper's events within a window, counted once.

A pair is counted when the later-arriving of its two events arrives, with a strength that depends on nothing but
the two event times. So the sums that follow do not depend on the order of arrival.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from recsys.histories import History, HistoryEvent
from schemas.events import Action, CoVisits, Relation


@dataclass(frozen=True, slots=True)
class ActionWeights:
    """What an action says of a shopper's interest, where a view says one."""

    view: float = 1.0
    cart_add: float = 2.0
    purchase: float = 3.0

    def of(self, action: int, quantity: float) -> float:
        """Weight of an event; each doubling of the quantity adds one more action, a return takes it back."""
        units = abs(quantity)
        weight = (self.view, self.cart_add, self.purchase)[action]
        return math.copysign(weight * (1.0 + math.log2(units) if units > 1.0 else units), quantity)


@dataclass(frozen=True, slots=True)
class PairRules:
    """Which events make a pair, and how its strength falls with the time between them: 1 / (1 + between / gap)."""

    view_window_ms: int = 1_800_000
    view_gap_ms: int = 60_000
    purchase_window_ms: int = 7 * 86_400_000
    purchase_gap_ms: int = 86_400_000
    max_companions: int = 10
    """Events that a new one is paired with at most, the nearest in time."""
    weights: ActionWeights = field(default_factory=ActionWeights)


_AFTER, _BEFORE = int(Relation.AFTER), int(Relation.BEFORE)

MAX_ENTRIES = 5_000
"""Companions or visits in one message at most, so that the busiest product's message stays within its limit."""


class _Gathered:
    """What a batch says of one product."""

    __slots__ = ("cause", "companions", "visits")

    def __init__(self) -> None:
        self.visits: list[tuple[int, int, float]] = []
        self.companions: list[tuple[str, int, int, float]] = []
        self.cause: tuple[str, int] = ("", 0)


class CoVisitBatch:
    """Gathers the pairs that a batch of events makes, one message a product."""

    def __init__(self, rules: PairRules) -> None:
        self._rules = rules
        self._gathered: dict[str, _Gathered] = {}

    def add(self, event: HistoryEvent, history: History, cause: tuple[str, int]) -> None:
        """Count an event that its history holds already; ``cause`` is (caused_by, caused_at_ms)."""
        rules = self._rules
        own = self._of(event.product_id, cause)
        own.visits.append((event.event_time_ms, event.action, rules.weights.of(event.action, event.quantity)))
        if event.action == Action.VIEW:
            self._pair_views(event, history, own, cause)
        elif event.action == Action.PURCHASE and event.quantity > 0:
            self._pair_purchases(event, history, own, cause)

    def messages(self) -> list[CoVisits]:
        """What was gathered, in the order of first appearance."""
        return [
            message
            for product_id, gathered in self._gathered.items()
            for message in _messages(product_id, gathered)
        ]

    def _pair_views(self, event: HistoryEvent, history: History, own: _Gathered, cause: tuple[str, int]) -> None:
        at_ms, own_hash, product_id, _, _ = event
        gap_ms, companions = self._rules.view_gap_ms, own.companions
        for their_ms, their_hash, their_id, _, _ in self._nearest(event, history, self._rules.view_window_ms):
            later = at_ms if at_ms > their_ms else their_ms
            strength = 1.0 / (1.0 + abs(at_ms - their_ms) / gap_ms)
            if their_id == product_id:
                companions.append((product_id, later, _AFTER, strength))
                continue
            theirs = self._of(their_id, cause).companions
            if (their_ms, their_hash) < (at_ms, own_hash):
                theirs.append((product_id, later, _AFTER, strength))
                companions.append((their_id, later, _BEFORE, strength))
            else:
                companions.append((their_id, later, _AFTER, strength))
                theirs.append((product_id, later, _BEFORE, strength))

    def _pair_purchases(
        self, event: HistoryEvent, history: History, own: _Gathered, cause: tuple[str, int]
    ) -> None:
        product_id, at_ms, gap_ms = event.product_id, event.event_time_ms, self._rules.purchase_gap_ms
        for other in self._nearest(event, history, self._rules.purchase_window_ms):
            if other.product_id == product_id or other.quantity <= 0:
                continue
            strength = 1.0 / (1.0 + abs(at_ms - other.event_time_ms) / gap_ms)
            later = max(at_ms, other.event_time_ms)
            own.companions.append((other.product_id, later, Relation.BOUGHT_TOGETHER, strength))
            self._of(other.product_id, cause).companions.append(
                (product_id, later, Relation.BOUGHT_TOGETHER, strength)
            )

    def _nearest(self, event: HistoryEvent, history: History, window_ms: int) -> list[HistoryEvent]:
        """The other events of the same action within the window; at most ``max_companions``, nearest in time."""
        at_ms, own_hash, _, action, _ = event
        near = [other for other in history.around(at_ms, window_ms) if other[3] == action and other[1] != own_hash]
        if len(near) > self._rules.max_companions:
            near.sort(key=lambda other: (abs(at_ms - other.event_time_ms), other.event_hash))
            del near[self._rules.max_companions :]
        return near

    def _of(self, product_id: str, cause: tuple[str, int]) -> _Gathered:
        gathered = self._gathered.get(product_id)
        if gathered is None:
            gathered = self._gathered[product_id] = _Gathered()
        gathered.cause = cause
        return gathered


def _messages(product_id: str, gathered: _Gathered) -> list[CoVisits]:
    visits, companions = gathered.visits, gathered.companions
    count = max(len(visits), len(companions))
    return [
        _message(
            product_id,
            visits[start : start + MAX_ENTRIES],
            companions[start : start + MAX_ENTRIES],
            gathered.cause,
        )
        for start in range(0, count, MAX_ENTRIES)
    ]


def _message(product_id: str, visits: list[Any], companions: list[Any], cause: tuple[str, int]) -> CoVisits:
    times, actions, weights = zip(*visits, strict=True) if visits else ((), (), ())
    ids, their_times, relations, strengths = zip(*companions, strict=True) if companions else ((), (), (), ())
    return CoVisits(product_id, times, actions, weights, ids, their_times, relations, strengths, *cause)
