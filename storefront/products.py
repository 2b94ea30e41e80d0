"""``product-created`` as a table: what is known of each product, which were retired, and which can be shown."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, islice
from typing import NamedTuple

from consumers.runtime.records import Record
from schemas.codec import decoder
from schemas.errors import ContractError
from schemas.events import ProductCreated
from schemas.topics import PRODUCT_CREATED


class ProductChange(NamedTuple):
    """What a product was and is; None where it is unknown or retired."""

    product_id: str
    before: ProductCreated | None
    after: ProductCreated | None


class ProductTable:
    """The products as the shop last published them.

    One thread applies; others may read meanwhile.
    """

    def __init__(self) -> None:
        self._decode = decoder(PRODUCT_CREATED.name)
        self._products: dict[str, ProductCreated] = {}
        self._retired: dict[str, None] = {}
        self._in_stock: dict[str, dict[str, None]] = {}
        """By category, those that entered last at the end."""

    def apply(self, records: Sequence[Record]) -> list[ProductChange]:
        """Take records of product-created in order; unreadable ones are left out, a stage refuses them."""
        changes = []
        for record in records:
            if record.topic != PRODUCT_CREATED.name or record.key is None:
                continue
            product_id = record.key.decode(errors="replace")
            product = None
            if record.value is not None:
                try:
                    event = self._decode(record.value)
                except ContractError:
                    continue
                assert isinstance(event, ProductCreated)
                product = event
            changes.append(self._put(product_id, product))
        return changes

    @property
    def known(self) -> dict[str, ProductCreated]:
        """Every product that is not retired, sold-out ones included; not to be changed."""
        return self._products

    def get(self, product_id: str) -> ProductCreated | None:
        """The product as it is now; None for one that is unknown or retired."""
        return self._products.get(product_id)

    def was_retired(self, product_id: str) -> bool:
        """True for a product whose withdrawal is still on the topic."""
        return product_id in self._retired

    def title(self, product_id: str) -> str:
        """The product's title; empty where it has none or is unknown."""
        product = self._products.get(product_id)
        return product.title if product is not None else ""

    def newest(self, category: str | None, count: int) -> list[str]:
        """At most ``count`` products in stock of a category, or of all, those that came in last first."""
        if category is not None:
            return _last(self._in_stock.get(category, {}), count)
        shelves = [_last(shelf, count) for shelf in tuple(self._in_stock.values())]
        turns = max(map(len, shelves), default=0)
        mixed = chain.from_iterable(
            (shelf[turn] for shelf in shelves if turn < len(shelf)) for turn in range(turns)
        )
        return [product_id for _, product_id in zip(range(count), mixed, strict=False)]

    @property
    def categories(self) -> list[str]:
        """Every category that has a product in stock, in order of first appearance."""
        return [category for category, shelf in tuple(self._in_stock.items()) if shelf]

    def __len__(self) -> int:
        return len(self._products)

    def _put(self, product_id: str, product: ProductCreated | None) -> ProductChange:
        before = self._products.get(product_id)
        if product is None:
            self._products.pop(product_id, None)
            self._retired[product_id] = None
        else:
            self._products[product_id] = product
            self._retired.pop(product_id, None)
        was, now = shelf_of(before), shelf_of(product)
        if was is not None and was != now:
            self._in_stock[was].pop(product_id, None)
        if now is not None and was != now:
            self._in_stock.setdefault(now, {})[product_id] = None
        return ProductChange(product_id, before, product)


def shelf_of(product: ProductCreated | None) -> str | None:
    """The category that a product can be shown in; None for one that cannot be shown."""
    return product.category if product is not None and product.in_stock else None


def _last(shelf: dict[str, None], count: int) -> list[str]:
    return list(islice(reversed(shelf), count))  # in one go, so that no other thread changes it meanwhile
