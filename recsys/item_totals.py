"""How often each product is visited and bought, and all together: what some measures set co-visits against.

Sums are forward-decayed (``recsys.decay``), each relative to its own product's epoch, as the rows have them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recsys.association import Floats, Totals
from recsys.decay import EPOCH_HALF_LIVES

_FIRST = 1_024
VISITS, PURCHASES = 0, 1


class ItemTotals:
    """A function of the products' totals as they are now, in whatever order they came.

    Memory: 24 bytes a product, and its id.
    """

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._free: list[int] = []
        self._sums: Floats = np.zeros((2, _FIRST))
        """Visits and purchases by number."""
        self._epochs: NDArray[np.int64] = np.zeros(_FIRST, np.int64)
        self._everything: dict[tuple[int, int], float] = {}
        """By column and epoch, until something changes."""

    def __len__(self) -> int:
        return len(self._numbers)

    def put(self, product_id: str, epoch: int, visits: float, purchases: float) -> None:
        """Take a product's totals as they are now."""
        number = self._numbers.get(product_id)
        if number is None:
            number = self._numbers[product_id] = self._free.pop() if self._free else len(self._numbers)
            if number == len(self._epochs):
                self._sums = np.concatenate([self._sums, np.zeros_like(self._sums)], axis=1)
                self._epochs = np.concatenate([self._epochs, np.zeros_like(self._epochs)])
        self._sums[:, number] = max(visits, 0.0), max(purchases, 0.0)
        self._epochs[number] = epoch
        self._everything.clear()

    def drop(self, product_id: str) -> None:
        """Forget a product."""
        number = self._numbers.pop(product_id, None)
        if number is not None:
            self._sums[:, number] = 0.0
            self._free.append(number)
            self._everything.clear()

    def of(self, product_ids: Sequence[str], column: int, epoch: int) -> Totals:
        """Totals of some products, 0 for one that is not known, and of all, relative to an epoch."""
        numbers = np.fromiter((self._numbers.get(name, -1) for name in product_ids), np.int64, len(product_ids))
        others = np.where(numbers >= 0, self._relative(column, epoch, numbers), 0.0)
        everything = self._everything.get((column, epoch))
        if everything is None:
            everything = float(self._relative(column, epoch, np.arange(len(self._epochs))).sum())
            self._everything[column, epoch] = everything
        return Totals(others, everything)

    def _relative(self, column: int, epoch: int, numbers: NDArray[np.int64]) -> Floats:
        shift = EPOCH_HALF_LIVES * (self._epochs[numbers] - epoch)
        return np.asarray(np.ldexp(self._sums[column, numbers], np.clip(shift, -1_000, 900).astype(np.int32)))
