"""Which products may stand in each other's lists, by category, by looks that go together, and by price.

Every rule says the same of a pair whichever of the two is listed, so a product enters the lists of just those
that may stand in its own.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, nan
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recsys.neighbours.ragged import Ints

Scope = Literal["any", "same", "other"]
Mask = NDArray[np.bool_]


class Traits(NamedTuple):
    """What rules look at. Products with the same ``look`` go together; "" goes with none."""

    category: str = ""
    look: str = ""
    price: float | None = None


@dataclass(frozen=True, slots=True)
class PairRules:
    """``categories``: of which category the others are: any, the product's own, or not that one.

    With ``same_look`` only products of the same look are listed. ``price_factor``: how many times the price of
    the other one's a price may be, either way; a product without a price goes with any.
    """

    categories: Scope = "any"
    same_look: bool = False
    price_factor: float = inf

    @property
    def none(self) -> bool:
        """True where any two products go together."""
        return self.categories == "any" and not self.same_look and self.price_factor == inf


class RowTraits:
    """The traits of rows, as far as the rules look at them, in arrays that grow."""

    def __init__(self, rules: PairRules, capacity: int) -> None:
        self.rules = rules
        self._codes: dict[str, int] = {"": 0}
        self._categories: NDArray[np.int32] = np.zeros(capacity, np.int32)
        self._looks: NDArray[np.int32] = np.zeros(capacity, np.int32)
        self._prices: NDArray[np.float64] = np.full(capacity, nan)

    def grow(self, capacity: int) -> None:
        """Make room for more rows."""
        more = capacity - len(self._prices)
        if more > 0:
            self._categories = np.append(self._categories, np.zeros(more, np.int32))
            self._looks = np.append(self._looks, np.zeros(more, np.int32))
            self._prices = np.append(self._prices, np.full(more, nan))

    def clear(self, rows: Ints) -> None:
        """Rows of new products, of which nothing is known yet."""
        self._categories[rows] = 0
        self._looks[rows] = 0
        self._prices[rows] = nan

    def put(self, traits: Mapping[str, Traits], row_of: Mapping[str, int]) -> set[int]:
        """Take traits of products that have rows; returns the rows for which that makes a difference."""
        changed: set[int] = set()
        if self.rules.none:
            return changed
        for product_id, one in traits.items():
            row = row_of.get(product_id)
            if row is not None and self._set(row, one):
                changed.add(row)
        return changed

    def key(self, row: int) -> bytes:
        """Equal for rows that the rules treat alike."""
        return struct.pack("iid", self._categories[row], self._looks[row], self._prices[row])

    def outside(self, rows: Ints, others: slice | Ints) -> Mask | None:
        """Which ``others``, a slice of b rows or (q, b), may not be listed with which rows (q,); (q, b).

        None where all may, as with rows of -1, which are no product's.
        """
        if self.rules.none or not len(rows) or rows[0] < 0:
            return None
        outside: Mask = np.zeros((1, 1), np.bool_)
        if self.rules.categories != "any":
            same = self._categories[rows][:, None] == self._categories[others]
            outside = ~same if self.rules.categories == "same" else same
        if self.rules.same_look:
            look = self._looks[rows][:, None]
            outside = outside | (look != self._looks[others]) | (look == 0)
        if self.rules.price_factor < inf:
            price, other = self._prices[rows][:, None], self._prices[others]
            factor = self.rules.price_factor
            outside = outside | (price > factor * other) | (other > factor * price)
        return outside

    def _set(self, row: int, traits: Traits) -> bool:
        before = self.key(row)
        if self.rules.categories != "any":
            self._categories[row] = self._code(traits.category)
        if self.rules.same_look:
            self._looks[row] = self._code(traits.look)
        if self.rules.price_factor < inf:
            self._prices[row] = nan if traits.price is None else traits.price
        return self.key(row) != before

    def _code(self, name: str) -> int:
        return self._codes.setdefault(name, len(self._codes))
