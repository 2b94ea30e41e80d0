"""What of the catalogue lists of similar products depend on: who may stand in them, and with whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from recsys.neighbours.pairing import Traits
from schemas.events import ProductCreated

_BETWEEN = "\x1f"


class _Facts(NamedTuple):
    listable: bool
    traits: Traits


class Assortment:
    """The products as the shop last published them.

    A product may stand in lists if it is in stock and each of ``required`` attributes has one of its values.
    Products with the same values of all of ``look_attributes`` have the same look; without one of them, none.
    """

    def __init__(self, required: Mapping[str, Sequence[str]], look_attributes: Sequence[str]) -> None:
        self._required = {name: frozenset(values) for name, values in required.items()}
        self._look_attributes = tuple(look_attributes)
        self._facts: dict[str, _Facts] = {}

    def __contains__(self, product_id: object) -> bool:
        return product_id in self._facts

    def put(self, product_id: str, product: ProductCreated | None) -> bool:
        """Take a product as it is now, None for a retired one; True where that makes a difference to lists."""
        before = self._facts.pop(product_id, None)
        if product is not None:
            self._facts[product_id] = _Facts(self._is_listable(product), self._traits_of(product))
        return before != self._facts.get(product_id)

    def listable(self, product_ids: Iterable[str]) -> dict[str, bool]:
        """Whether products may stand in lists; those that are not known may not."""
        facts = ((product_id, self._facts.get(product_id)) for product_id in product_ids)
        return {product_id: one is not None and one.listable for product_id, one in facts}

    def traits(self, product_ids: Iterable[str]) -> dict[str, Traits]:
        """What rules for pairs look at."""
        facts = ((product_id, self._facts.get(product_id)) for product_id in product_ids)
        return {product_id: Traits() if one is None else one.traits for product_id, one in facts}

    def _is_listable(self, product: ProductCreated) -> bool:
        return product.in_stock and all(
            product.attributes.get(name) in values for name, values in self._required.items()
        )

    def _traits_of(self, product: ProductCreated) -> Traits:
        values = [product.attributes.get(name, "") for name in self._look_attributes]
        return Traits(product.category, _BETWEEN.join(values) if all(values) else "", product.price)
