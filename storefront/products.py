"""``product-created`` as a table: what is known of each product, and which were retired."""

from __future__ import annotations

from collections.abc import Sequence

from consumers.runtime.records import Record
from schemas.codec import decoder
from schemas.errors import ContractError
from schemas.events import ProductCreated
from schemas.topics import PRODUCT_CREATED


class ProductTable:
    """The products as the shop last published them."""

    def __init__(self) -> None:
        self._decode = decoder(PRODUCT_CREATED.name)
        self._products: dict[str, ProductCreated | None] = {}

    def apply(self, records: Sequence[Record]) -> None:
        """Take records of product-created in order; unreadable ones are left out, a stage refuses them."""
        for record in records:
            if record.topic != PRODUCT_CREATED.name or record.key is None:
                continue
            product_id = record.key.decode(errors="replace")
            if record.value is None:
                self._products[product_id] = None
                continue
            try:
                product = self._decode(record.value)
            except ContractError:
                continue
            assert isinstance(product, ProductCreated)
            self._products[product_id] = product

    def get(self, product_id: str) -> ProductCreated | None:
        """The product as it is now; None for one that is unknown or retired."""
        return self._products.get(product_id)

    def was_retired(self, product_id: str) -> bool:
        """True for a product whose withdrawal is still on the topic."""
        return product_id in self._products and self._products[product_id] is None

    def title(self, product_id: str) -> str:
        """The product's title; empty where it has none or is unknown."""
        product = self._products.get(product_id)
        return product.title if product is not None else ""

    def __len__(self) -> int:
        return sum(product is not None for product in self._products.values())
