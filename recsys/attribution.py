"""What a recommendation led to: last-click attribution of one shopper's events, in whatever order they arrive.

A click belongs to the latest impression of the same shelf and product before it; a cart-add or a purchase to the
latest click on the product before it; a return to the latest purchase of the product before it that is itself put
down to a click. Each is the greatest of its candidates by (time, id), so adding an event can only put a greater
one in the place of a lesser, and the result follows from the set of events.

That holds for as long as no event is later than ``lateness_ms`` behind the shopper's latest, and there are no more
events than are kept; what is later is ``expired`` and changes nothing.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from recsys.histories import ADDED, DUPLICATE, EXPIRED
from recsys.journey_rows import ActionRow, ClickRow, Credit, Place, Sight, order_of
from schemas.events import Action, CartAdd, Click, Impression, Purchase, RecommendationOutcome

TracedEvent = Impression | Click | CartAdd | Purchase
"""What attribution follows from."""

R = TypeVar("R", ClickRow, ActionRow)


@dataclass(frozen=True, slots=True)
class AttributionRules:
    """What may be put down to what, and how much of a shopper is kept for it."""

    window_ms: int = 86_400_000
    """Longest time from an impression to a click on it, and from a click to what it leads to."""
    lateness_ms: int = 7 * 86_400_000
    """How far behind the shopper's latest event one may arrive and still count."""
    returns_ms: int = 30 * 86_400_000
    """Longest time from a purchase to its return."""
    max_impressions: int = 200
    max_clicks: int = 100
    max_actions: int = 100


class Journey:
    """One shopper's impressions, clicks and actions of late, each in order of (time, id).

    ``add`` takes one event and returns what became of it; ``take_outcomes`` gives what changed since. Memory is
    bounded by the rules' ``max_`` numbers.
    """

    def __init__(self, rules: AttributionRules) -> None:
        self._rules = rules
        self.latest_ms = 0
        self.sights: list[Sight] = []
        self.clicks: list[ClickRow] = []
        self.actions: list[ActionRow] = []
        self._changed: dict[str, ClickRow | ActionRow] = {}

    def add(self, event: TracedEvent) -> str:
        """Take one event: ``added``, ``duplicate`` or ``expired``."""
        if event.event_time_ms < self.latest_ms - self._rules.lateness_ms:
            return EXPIRED
        if isinstance(event, Impression):
            outcome = self._add_impression(event)
        elif isinstance(event, Click):
            outcome = self._add_click(event)
        else:
            outcome = self._add_action(event)
        if event.event_time_ms > self.latest_ms:
            self.latest_ms = event.event_time_ms
            self._forget_old()
        return outcome

    def take_outcomes(self, subject: str) -> list[RecommendationOutcome]:
        """Every outcome that came or changed since the last call, its revision one higher."""
        outcomes = []
        for row in self._changed.values():
            row.revision += 1
            outcomes.append(row.outcome(subject))
        self._changed = {}
        return outcomes

    def published(self) -> Iterator[str]:
        """Ids of the outcomes that were published and are still known."""
        rows: list[ClickRow | ActionRow] = [*self.clicks, *self.actions]
        return (row.event_id for row in rows if row.revision > 0)

    def _add_impression(self, event: Impression) -> str:
        sight = Sight(event.event_time_ms, event.product_id, Place.of(event))
        place = bisect_left(self.sights, sight)
        if self.sights[place : place + 1] == [sight]:
            return DUPLICATE
        if len(self.sights) >= self._rules.max_impressions:
            if place == 0:
                return EXPIRED
            self.sights.pop(0)
        insort(self.sights, sight)
        for click in self.clicks:
            if click.product_id == sight.product_id and self._see(click, sight):
                self._changed[click.event_id] = click
                self._credit_click(click)
        return ADDED

    def _add_click(self, event: Click) -> str:
        row = ClickRow(event.event_time_ms, event.event_id, event.product_id, Place.of(event), event.rank)
        outcome = _insert(self.clicks, row, self._rules.max_clicks)
        if outcome == ADDED:
            for sight in self.sights:
                if sight.product_id == row.product_id:
                    self._see(row, sight)
            self._changed[row.event_id] = row
            self._credit_click(row)
        return outcome

    def _add_action(self, event: CartAdd | Purchase) -> str:
        price = event.unit_price or 0.0 if isinstance(event, Purchase) else 0.0
        kind = Action.PURCHASE if isinstance(event, Purchase) else Action.CART_ADD
        row = ActionRow(
            event.event_time_ms, event.event_id, event.product_id, kind, event.quantity, event.quantity * price
        )
        outcome = _insert(self.actions, row, self._rules.max_actions)
        if outcome == ADDED:
            if row.is_return:
                for purchase in self.actions:
                    self._credit_return(row, purchase)
            else:
                for click in self.clicks:
                    self._credit_action(row, click)
        return outcome

    def _see(self, click: ClickRow, sight: Sight) -> bool:
        """Take an impression as the click's where it is the latest before it; True where that is new."""
        known = sight.place.recommendation_id == click.place.recommendation_id
        if not known or not sight.time_ms <= click.time_ms <= sight.time_ms + self._rules.window_ms:
            return False
        if sight <= click.seen:
            return False
        click.seen = sight
        return True

    def _credit_click(self, click: ClickRow) -> None:
        for action in self.actions:
            if not action.is_return:
                self._credit_action(action, click)

    def _credit_action(self, action: ActionRow, click: ClickRow) -> None:
        if action.product_id != click.product_id:
            return
        if click.time_ms <= action.time_ms <= click.time_ms + self._rules.window_ms:
            self._improve(action, Credit(click.time_ms, click.event_id, click.touch))

    def _credit_return(self, row: ActionRow, purchase: ActionRow) -> None:
        """Put a return down to a purchase that was put down to a click."""
        if purchase.credit is None or purchase.is_return or purchase.kind is not Action.PURCHASE:
            return
        if purchase.product_id != row.product_id:
            return
        if purchase.time_ms <= row.time_ms <= purchase.time_ms + self._rules.returns_ms:
            self._improve(row, Credit(purchase.time_ms, purchase.event_id, purchase.credit.touch))

    def _improve(self, action: ActionRow, credit: Credit) -> None:
        """Take a credit that is greater; of the same click the one at hand knows no less than the earlier."""
        earlier = action.credit
        if earlier is not None and (credit == earlier or credit.order < earlier.order):
            return
        action.credit = credit
        self._changed[action.event_id] = action
        if not action.is_return:
            for other in self.actions:
                if other.is_return:
                    self._credit_return(other, action)

    def _forget_old(self) -> None:
        """Let go of what nothing that may still come can belong to."""
        oldest_ms = self.latest_ms - self._rules.lateness_ms
        window_ms = self._rules.window_ms
        while self.sights and self.sights[0].time_ms < oldest_ms - window_ms:
            self.sights.pop(0)
        while self.clicks and self.clicks[0].time_ms < oldest_ms - window_ms:
            self.clicks.pop(0)
        while self.actions and self.actions[0].time_ms < oldest_ms - self._rules.returns_ms:
            self.actions.pop(0)


def _insert(rows: list[R], row: R, most: int) -> str:
    """Put a row at its place among the ``most`` latest."""
    if any(known.event_id == row.event_id for known in rows):
        return DUPLICATE
    if len(rows) >= most:
        if order_of(row) < order_of(rows[0]):
            return EXPIRED
        rows.pop(0)
    insort(rows, row, key=order_of)
    return ADDED
