"""What is known of the products: which may be recommended, and what category each is in."""

from __future__ import annotations

from typing import NamedTuple

from schemas.events import ProductCreated


class ProductFacts(NamedTuple):
    """What lists depend on."""

    category: str
    in_stock: bool


class CatalogueChange(NamedTuple):
    """What a product was and is; None where it is not in the catalogue."""

    product_id: str
    before: ProductFacts | None
    after: ProductFacts | None

    @property
    def appeared(self) -> bool:
        """It may be recommended now, and could not be before."""
        return _recommendable(self.after) and not _recommendable(self.before)

    @property
    def vanished(self) -> bool:
        """It must leave every list."""
        return _recommendable(self.before) and not _recommendable(self.after)

    @property
    def retired(self) -> bool:
        """It is gone from the catalogue, so its own lists are withdrawn."""
        return self.before is not None and self.after is None


class Catalogue:
    """The products as the shop last published them; only what is in here and in stock is ever listed."""

    def __init__(self) -> None:
        self._facts: dict[str, ProductFacts] = {}

    def __len__(self) -> int:
        return len(self._facts)

    def __contains__(self, product_id: str) -> bool:
        return product_id in self._facts

    def put(self, product_id: str, product: ProductCreated | None) -> CatalogueChange | None:
        """Take a product as it is now, None for a retired one; returns what changed, None when nothing did."""
        before = self._facts.get(product_id)
        after = None if product is None else ProductFacts(product.category, product.in_stock)
        if before == after:
            return None
        if after is None:
            del self._facts[product_id]
        else:
            self._facts[product_id] = after
        return CatalogueChange(product_id, before, after)

    def is_recommendable(self, product_id: str) -> bool:
        """True for a product in the catalogue that is in stock."""
        return _recommendable(self._facts.get(product_id))

    def category_of(self, product_id: str) -> str | None:
        """The product's category; None for an unknown product."""
        facts = self._facts.get(product_id)
        return None if facts is None else facts.category


def _recommendable(facts: ProductFacts | None) -> bool:
    return facts is not None and facts.in_stock
