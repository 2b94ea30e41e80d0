"""Rows of vectors by product id, in arrays that double; and their exact cosines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recsys.neighbours.dots import exact_dots
from recsys.neighbours.id_order import IdOrder, Relabelling
from recsys.neighbours.index import Vector
from recsys.neighbours.ragged import Ints, Scores
from recsys.neighbours.sketch import Sketch, learn_sketch

Matrix = NDArray[np.float32]

_FIRST_CAPACITY = 64
_UNIT_ROUNDOFF = 2.0**-24


class Block(NamedTuple):
    """Rows ``start`` to ``stop`` as float32."""

    start: int
    stop: int
    matrix: Matrix


class VectorRows:
    """Vectors of products in fixed rows; a row whose product is removed is used again, the others stay.

    Until ``release``, such a row is kept for its product, so that a row means the same product all the while.

    float16 numbers in an array of ``dtype`` float16 (half the memory) or float32 (no conversion at each use).
    """

    def __init__(self, dimensions: int, dtype: type[np.float16] | type[np.float32]) -> None:
        self.dimensions = dimensions
        self.matrix: NDArray[np.floating] = np.zeros((_FIRST_CAPACITY, dimensions), dtype)
        self.sketch: Sketch | None = None
        self._sketches: Matrix = np.zeros((_FIRST_CAPACITY, 0), np.float32)
        self.ids: list[str | None] = [None] * _FIRST_CAPACITY
        self.labels: Ints = np.zeros(_FIRST_CAPACITY, np.int64)
        self.row_of: dict[str, int] = {}
        self.high_water = 0
        """Rows from here on were never used."""
        self.penalties: Scores = np.zeros(_FIRST_CAPACITY, np.float64)
        self._squared_lengths: Scores = np.ones(_FIRST_CAPACITY, np.float64)
        self._free: list[int] = []
        self._kept: dict[str, int] = {}
        self._order = IdOrder()
        self._length_error = 0.0

    @property
    def capacity(self) -> int:
        """Rows that there is room for."""
        return len(self.ids)

    def slack(self, length_error: float = 0.0) -> float:
        """How far a float32 product of two rows, or of a row and a query, may be from their cosine.

        Rounding: d terms summed in any order err by at most d·u/(1 - d·u) of the sum of their absolute values
        (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1), twice that for good measure. And
        vectors are of unit length only as far as float16 goes; ``length_error`` is the queries' own
        | |x|² - 1 |. Taking a penalty off rounds once more.
        """
        off = max(self._length_error, length_error)
        return (2.0 * self.dimensions * (1.0 + off) + 4.0) * _UNIT_ROUNDOFF + 1.1 * off

    def allocate(self, ids: Sequence[str]) -> Relabelling | None:
        """Give rows to products that have none; returns how older labels changed, None if they did not."""
        while self.capacity < self.high_water + len(ids) - len(self._free):
            self._double()
        for product_id in ids:
            row = self._kept.pop(product_id, None)
            if row is None:
                row = self._free.pop() if self._free else self.high_water
            self.high_water = max(self.high_water, row + 1)
            self.row_of[product_id] = row
            self.ids[row] = product_id
        relabelling = self._order.add(ids)
        if relabelling is not None:
            self.labels = relabelling(self.labels)
        self.labels[[self.row_of[product_id] for product_id in ids]] = self._order.labels(ids)
        return relabelling

    def write(self, vectors: Mapping[str, Vector], penalties: Mapping[str, float] | None = None) -> None:
        """Set the vectors and penalties of products that have rows."""
        rows = [self.row_of[product_id] for product_id in vectors]
        self.penalties[rows] = [penalties.get(product_id, 0.0) for product_id in vectors] if penalties else 0.0
        values = np.stack(list(vectors.values()))
        self.matrix[rows] = values
        if self.sketch is not None:
            self._sketches[rows] = self.sketch(values)
        squared = squared_lengths(values)
        self._squared_lengths[rows] = squared
        self._length_error = max(self._length_error, float(np.abs(squared - 1).max()))

    def same(self, product_id: str, vector: Vector, penalty: float) -> bool:
        """True where the product has this very vector and penalty."""
        row = self.row_of.get(product_id)
        if row is None or self.penalties[row] != penalty:
            return False
        return bool(np.array_equal(self.matrix[row], vector))

    def remove(self, ids: Sequence[str]) -> list[int]:
        """Forget products; returns the rows that they had."""
        self._order.remove(ids)
        rows = [self.row_of.pop(product_id) for product_id in ids]
        for row in rows:
            self.ids[row] = None
        self._kept.update(zip(ids, rows, strict=True))
        return rows

    def release(self) -> list[int]:
        """Let the rows of removed products be used for others; returns them."""
        rows = list(self._kept.values())
        self._free.extend(rows)
        self._kept.clear()
        return rows

    def gather(self, rows: Ints) -> Matrix:
        """Rows as float32 (n, d)."""
        return self.matrix[rows].astype(np.float32, copy=False)

    def learn(self, sample_rows: int) -> None:
        """Find out from so many rows which directions matter, and sketch all vectors along these."""
        rows = np.fromiter(self.row_of.values(), np.int64, len(self.row_of))
        self.sketch = learn_sketch(self.gather(rows[:: max(1, len(rows) // sample_rows)]))
        if self.sketch is None:
            return
        self._sketches = np.zeros((self.capacity, self.sketch.width), np.float32)
        for start in range(0, self.high_water, sample_rows):
            block = slice(start, min(start + sample_rows, self.high_water))
            self._sketches[block] = self.sketch(self.matrix[block])

    def save_memory(self) -> None:
        """There will be no more passes over all vectors: keep them as float16, and no sketches."""
        self.matrix = self.matrix.astype(np.float16, copy=False)
        self.sketch = None
        self._sketches = np.zeros((self.capacity, 0), np.float32)

    def blocks(self, rows_each: int, *, sketched: bool) -> Iterator[Block]:
        """All rows ever used or their sketches, in blocks; those of no product hold whatever was there."""
        matrix = self._sketches if sketched else self.matrix
        for start in range(0, self.high_water, rows_each):
            stop = min(start + rows_each, self.high_water)
            yield Block(start, stop, matrix[start:stop].astype(np.float32, copy=False))

    def cosines(self, left: Ints, right: Ints) -> Scores:
        """The cosine of each pair of rows, the same number whatever it is computed together with."""
        once, numbers = np.unique(left, return_inverse=True)
        dots = exact_dots(self.gather(once), numbers, self.matrix, right)
        return to_cosines(dots, self._squared_lengths[left], self._squared_lengths[right])

    def cosines_with(self, queries: Vector, left: Ints, right: Ints) -> Scores:
        """The same for pairs of a row of ``queries``, float16 (q, d), and a row of a product."""
        dots = exact_dots(queries.astype(np.float32), left, self.matrix, right)
        return to_cosines(dots, squared_lengths(queries)[left], self._squared_lengths[right])

    def _double(self) -> None:
        capacity = 2 * self.capacity
        grown = np.zeros((capacity, self.dimensions), self.matrix.dtype)
        grown[: self.high_water] = self.matrix[: self.high_water]
        self.matrix = grown
        sketches = np.zeros((capacity, self._sketches.shape[1]), np.float32)
        sketches[: self.high_water] = self._sketches[: self.high_water]
        self._sketches = sketches
        self.labels = np.r_[self.labels, np.zeros(capacity - self.capacity, np.int64)]
        self._squared_lengths = np.r_[self._squared_lengths, np.ones(capacity - self.capacity)]
        self.penalties = np.r_[self.penalties, np.zeros(capacity - self.capacity)]
        self.ids += [None] * (capacity - self.capacity)


def squared_lengths(vectors: Vector) -> Scores:
    """Squared lengths of rows, float64, without rounding either."""
    squares: Scores = np.square(vectors, dtype=np.float64).sum(axis=1)
    return squares


def to_cosines(dots: Scores, left_squared: Scores, right_squared: Scores) -> Scores:
    """Divide by the lengths; equal vectors give 1 exactly, for the root of a square is exact."""
    return np.minimum(dots / np.sqrt(left_squared * right_squared), 1.0)
