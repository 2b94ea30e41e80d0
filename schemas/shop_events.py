"""What shops publish, and browsers report: products, users, and what shoppers do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from schemas.checks import check_id, check_quantity, check_time
from schemas.errors import InvalidEventError

_MAX_RANK = 10_000


@dataclass(frozen=True, slots=True)
class ProductCreated:
    """A product as it is now; published again whenever it changes."""

    product_id: str
    event_time_ms: int
    title: str = ""
    category: str = ""
    image_url: str | None = None
    price: float | None = None
    in_stock: bool = True
    attributes: Mapping[str, str] = field(default_factory=dict)
    other_image_urls: Sequence[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        check_id("product_id", self.product_id)
        check_time(self.event_time_ms)
        if self.price is not None and not (math.isfinite(self.price) and self.price >= 0):
            raise InvalidEventError(f"price of {self.product_id} is {self.price}; give a number of at least 0")


@dataclass(frozen=True, slots=True)
class Interaction:
    """What the three interaction events share: who did something with which product, and when."""

    event_id: str
    event_time_ms: int
    user_id: str | None
    session_id: str | None
    product_id: str

    def __post_init__(self) -> None:
        check_id("event_id", self.event_id)
        check_id("product_id", self.product_id)
        check_time(self.event_time_ms)
        if self.user_id is not None:
            check_id("user_id", self.user_id)
        elif self.session_id is None:
            raise InvalidEventError(f"event {self.event_id} has neither user_id nor session_id; give one")
        if self.session_id is not None:
            check_id("session_id", self.session_id)

    @property
    def subject(self) -> str:
        """Whose history this belongs to: the user's, or the session's for a guest."""
        return self.user_id if self.user_id is not None else self.session_id or ""


@dataclass(frozen=True, slots=True)
class PdpView(Interaction):
    """A product page was viewed."""


@dataclass(frozen=True, slots=True)
class CartAdd(Interaction):
    """A product was put into the cart."""

    quantity: float = 1.0

    def __post_init__(self) -> None:
        Interaction.__post_init__(self)
        check_quantity(self.event_id, self.quantity, returns=False)


@dataclass(frozen=True, slots=True)
class Purchase(Interaction):
    """A product was bought; a negative quantity is a return."""

    quantity: float = 1.0
    unit_price: float | None = None

    def __post_init__(self) -> None:
        Interaction.__post_init__(self)
        check_quantity(self.event_id, self.quantity, returns=True)


@dataclass(frozen=True, slots=True)
class Shown(Interaction):
    """What impressions and clicks share: which list stood where, and at what rank (from 1; 0 is unknown).

    ``variant`` is ``experiment:variant`` where the list was part of an experiment; ``reason`` is why the product
    stood in it, a ``Reason``, which says which scorer spoke for it.
    """

    recommendation_id: str = ""
    placement: str = ""
    kind: str = ""
    rank: int = 0
    variant: str = ""
    reason: str = ""

    def __post_init__(self) -> None:
        Interaction.__post_init__(self)
        for name in ("recommendation_id", "placement", "kind", "variant", "reason"):
            value = getattr(self, name)
            if value:
                check_id(name, value)
        if not 0 <= self.rank <= _MAX_RANK:
            raise InvalidEventError(f"rank of event {self.event_id} is {self.rank}; give 1 to {_MAX_RANK}, or 0")


@dataclass(frozen=True, slots=True)
class Impression(Shown):
    """A recommended product came into a shopper's sight."""


@dataclass(frozen=True, slots=True)
class Click(Shown):
    """A shopper followed a recommended product."""


@dataclass(frozen=True, slots=True)
class UserUpdated:
    """What is known of a user."""

    user_id: str
    event_time_ms: int
    attributes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_id("user_id", self.user_id)
        check_time(self.event_time_ms)


@dataclass(frozen=True, slots=True)
class SessionJoined:
    """A guest signed in: what the session did is the user's."""

    session_id: str
    user_id: str
    event_time_ms: int

    def __post_init__(self) -> None:
        check_id("session_id", self.session_id)
        check_id("user_id", self.user_id)
        check_time(self.event_time_ms)
