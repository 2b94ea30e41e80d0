"""Numbers for products, so that scores are arrays; what may be recommended is a mask over them."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from recsys.catalogue import Catalogue

Slots = NDArray[np.int32]
Floats = NDArray[np.float64]

_FIRST_CAPACITY = 1_024


class ProductSlots:
    """Gives each product a number, and keeps what scoring needs of it in arrays."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._slots: dict[str, int] = {}
        self.ids: list[str] = []
        """Product ids by number."""
        self.recommendable: NDArray[np.bool_] = np.zeros(_FIRST_CAPACITY, bool)
        self.ties: NDArray[np.uint64] = np.zeros(_FIRST_CAPACITY, np.uint64)
        """A hash of each product's id: of products with equal scores the smaller goes first."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def capacity(self) -> int:
        """More than every number that there is; it doubles when they are used up."""
        return len(self.recommendable)

    def get(self, product_id: str) -> int | None:
        """The product's number; None where it has none."""
        return self._slots.get(product_id)

    def assign(self, product_ids: Sequence[str]) -> Slots:
        """The products' numbers, int32, new ones where they have none yet."""
        slots = self._slots
        for product_id in product_ids:
            if product_id not in slots:
                self._append(product_id)
        return np.fromiter((slots[product_id] for product_id in product_ids), np.int32, len(product_ids))

    def numbers(self, product_ids: Sequence[str]) -> Slots:
        """The products' numbers, int32, -1 where they have none."""
        get = self._slots.get
        return np.fromiter((get(product_id, -1) for product_id in product_ids), np.int32, len(product_ids))

    def refresh(self, product_id: str) -> None:
        """Take over what the catalogue says of a product now."""
        slot = self._slots.get(product_id)
        if slot is not None:
            self.recommendable[slot] = self._catalogue.is_recommendable(product_id)

    def _append(self, product_id: str) -> None:
        slot = self._slots[product_id] = len(self.ids)
        self.ids.append(product_id)
        if slot == len(self.recommendable):
            self.recommendable = np.concatenate([self.recommendable, np.zeros(slot, bool)])
            self.ties = np.concatenate([self.ties, np.zeros(slot, np.uint64)])
        self.ties[slot] = int.from_bytes(blake2b(product_id.encode(), digest_size=8).digest(), "little")
        self.recommendable[slot] = self._catalogue.is_recommendable(product_id)
