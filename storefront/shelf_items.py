"""What a shelf is asked for, what its products have to be, and one product of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from schemas.events import ListedProduct, ProductCreated


@dataclass(frozen=True, slots=True)
class ShelfRequest:
    """One list to show. ``category`` says what to fall back on where there is none."""

    kind: str
    subject: str = ""
    category: str | None = None

    @property
    def key(self) -> str:
        """Key of the list, ``kind:subject``."""
        return f"{self.kind}:{self.subject}"


@dataclass(frozen=True, slots=True)
class Filters:
    """What a product has to be; ``diversity`` from 0 (the list's own order) to 1 mixes categories."""

    category: str | None = None
    price_min: float | None = None
    price_max: float | None = None
    in_stock: bool = True
    exclude: frozenset[str] = frozenset()
    diversity: float = 0.0
    fill: bool = True
    """Fill up a shelf that has fewer products than asked for."""

    def allow(self, product: ProductCreated) -> bool:
        """True for a product that may be shown; one without a price passes no limit of price."""
        if self.in_stock and not product.in_stock:
            return False
        if self.category is not None and product.category != self.category:
            return False
        if self.price_min is not None and (product.price is None or product.price < self.price_min):
            return False
        if self.price_max is not None and (product.price is None or product.price > self.price_max):
            return False
        return product.product_id not in self.exclude


class ShelfItem(NamedTuple):
    """One product of a shelf, and why it stands there."""

    product: ProductCreated
    listed: ListedProduct
    about: str
    """Product or category that the list it comes from is about; empty for a shopper's or the whole shop's."""
    rules: tuple[str, ...] = ()
    """What the shop's rules did with it: ``action: name`` of each."""
