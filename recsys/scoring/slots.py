"""Numbers for products, so that scores are arrays; what may be recommended is a mask over them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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
        self._sums: Floats = np.zeros(_FIRST_CAPACITY)
        self._places: Slots = np.zeros(_FIRST_CAPACITY, np.int32)

    def __len__(self) -> int:
        return len(self.ids)

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

    def sum_up(self, slots: Slots, values: Floats) -> tuple[Slots, Floats]:
        """Products, each once, and the sums of their values; how many others there are does not matter."""
        sums, places = self._sums, self._places
        order = np.arange(len(slots), dtype=np.int32)
        places[slots] = order
        each = slots[places[slots] == order]
        np.add.at(sums, slots, values)
        totals = sums[each]
        sums[each] = 0.0
        return each, totals

    def listable(self, slots: Slots, excluded: Iterable[str]) -> NDArray[np.bool_]:
        """Which products may be recommended, and are not excluded."""
        allowed = self.recommendable
        out = [slot for product_id in excluded if (slot := self._slots.get(product_id)) is not None]
        if not out:
            return allowed[slots]
        before = allowed[out]
        allowed[out] = False
        listable = allowed[slots]
        allowed[out] = before
        return listable

    def find(self, wanted: Slots, among: Slots) -> Slots:
        """Where each wanted product stands among others (each once); -1 for one that does not."""
        places = self._places
        places[wanted] = -1
        places[among] = np.arange(len(among), dtype=np.int32)
        return places[wanted]

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
            self._sums = np.zeros(2 * slot)
            self._places = np.zeros(2 * slot, np.int32)
        self.recommendable[slot] = self._catalogue.is_recommendable(product_id)
