"""Which vectors count: those of one generation, until all that a later one began with are there.

Vectors of different fits cannot be compared, and the records of a new generation come partition by partition.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from schemas.events import ItemFactors

GONE = b""
"""The vector of a product that has none any more."""


class Changed(NamedTuple):
    """Vectors by product, as bytes."""

    anew: bool
    """True where these are all that count now, and none of those before does."""
    vectors: Mapping[str, bytes]


class Generations:
    """Hands on the vectors of the generation in force, and keeps those of one that is still coming.

    Memory: nothing, but between the first and the last record of a new generation its vectors.
    """

    def __init__(self) -> None:
        self.generation = 0
        """The one in force; 0 is what was learnt from the stream alone."""
        self._coming = 0
        self._wanted = 0
        """How many products it began with; 0 until one of those is there."""
        self._there: set[str] = set()
        self._vectors: dict[str, bytes] = {}

    def take(self, products: Iterable[tuple[str, ItemFactors | None]]) -> Changed:
        """Take records in order; returns what is to be changed by them."""
        anew, changed = False, dict[str, bytes]()
        for product_id, factors in products:
            if factors is None:
                changed[product_id] = GONE
                self._vectors.pop(product_id, None)
            elif factors.generation == self.generation:
                changed[product_id] = factors.vector
            elif factors.generation > self.generation and self._complete(product_id, factors):
                anew, changed = True, self._vectors
                self.generation, self._vectors = self._coming, {}
                self._there.clear()
        return Changed(anew, changed)

    def _complete(self, product_id: str, factors: ItemFactors) -> bool:
        """Keep a record of a later generation; True once it can come into force."""
        if factors.generation < self._coming:
            return False
        if factors.generation > self._coming:
            self._coming, self._wanted, self._vectors = factors.generation, 0, {}
            self._there.clear()
        self._vectors[product_id] = factors.vector
        if factors.generation_items:
            self._wanted = factors.generation_items
            self._there.add(product_id)
        return 0 < self._wanted <= len(self._there)
