"""What is kept of one shopper's way from a shelf to a purchase, row by row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from schemas.events import Action, OutcomeName, RecommendationOutcome, Shown

UNKNOWN_MS = -1


class Place(NamedTuple):
    """Which list was shown, where, to whom in terms of an experiment, and why the product stood in it."""

    recommendation_id: str = ""
    placement: str = ""
    kind: str = ""
    variant: str = ""
    reason: str = ""

    @classmethod
    def of(cls, event: Shown) -> Place:
        """As an impression or a click says it."""
        return cls(event.recommendation_id, event.placement, event.kind, event.variant, event.reason)

    def completed(self, other: Place) -> Place:
        """With what only the other says."""
        return Place(*(own or others for own, others in zip(self, other, strict=True)))


class Sight(NamedTuple):
    """A product came into sight."""

    time_ms: int
    product_id: str
    place: Place


NOT_SEEN = Sight(UNKNOWN_MS, "", Place())


class Touch(NamedTuple):
    """A click as what follows it sees it, by its greater time and then its id."""

    click_time_ms: int
    click_id: str
    seen_time_ms: int
    rank: int
    place: Place


class Credit(NamedTuple):
    """What an action is put down to: a click, or for a return the purchase that is taken back, and its click."""

    cause_time_ms: int
    cause_id: str
    touch: Touch

    @property
    def order(self) -> tuple[int, str, int, str]:
        """The greatest is right."""
        return self.cause_time_ms, self.cause_id, self.touch.click_time_ms, self.touch.click_id


@dataclass(slots=True)
class ClickRow:
    """A click, and the impression that it belongs to."""

    time_ms: int
    event_id: str
    product_id: str
    place: Place
    rank: int
    seen: Sight = NOT_SEEN
    revision: int = 0

    @property
    def touch(self) -> Touch:
        """As what follows it sees it."""
        place = self.place.completed(self.seen.place)
        return Touch(self.time_ms, self.event_id, self.seen.time_ms, self.rank, place)

    def outcome(self, subject: str) -> RecommendationOutcome:
        """The click as an outcome."""
        return _outcome(self, subject, OutcomeName.CLICK, 0.0, 0.0, self.touch)


@dataclass(slots=True)
class ActionRow:
    """A cart-add or a purchase, and what it is put down to."""

    time_ms: int
    event_id: str
    product_id: str
    kind: Action
    quantity: float
    revenue: float
    credit: Credit | None = None
    revision: int = 0

    @property
    def is_return(self) -> bool:
        """True for a purchase that takes another back."""
        return self.quantity < 0

    def outcome(self, subject: str) -> RecommendationOutcome:
        """The action as an outcome; it has to be put down to something."""
        assert self.credit is not None
        name = OutcomeName.PURCHASE if self.kind is Action.PURCHASE else OutcomeName.CART_ADD
        return _outcome(self, subject, name, self.quantity, self.revenue, self.credit.touch)


def _outcome(
    row: ClickRow | ActionRow, subject: str, name: str, quantity: float, revenue: float, touch: Touch
) -> RecommendationOutcome:
    place = touch.place
    return RecommendationOutcome(
        event_id=row.event_id,
        subject=subject,
        outcome=name,
        revision=row.revision,
        recommendation_id=place.recommendation_id,
        kind=place.recommendation_id.partition(".")[0] or place.kind,
        placement=place.placement,
        variant=place.variant,
        rank=touch.rank,
        product_id=row.product_id,
        quantity=quantity,
        revenue=revenue,
        event_time_ms=row.time_ms,
        click_time_ms=touch.click_time_ms,
        impression_time_ms=None if touch.seen_time_ms == UNKNOWN_MS else touch.seen_time_ms,
        reason=place.reason,
    )


def order_of(row: ClickRow | ActionRow) -> tuple[int, str]:
    """Rows are ordered by time, and by id where times are equal."""
    return row.time_ms, row.event_id
