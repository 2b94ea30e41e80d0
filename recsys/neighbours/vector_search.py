"""Nearest products of any vector, such as a photo's, where no product needs a list of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recsys.neighbours.dots import exact_dots
from recsys.neighbours.hubness import Correction
from recsys.neighbours.index import Changes, Neighbour, Vector
from recsys.neighbours.ragged import Ints, Scores, best_first
from recsys.neighbours.vectors import Matrix, VectorRows

_FIRST_LEARNT = 2_048
_LEARN_AGAIN = 8
"""Times as many products as when the directions were last learnt."""
_SAMPLE_ROWS = 4_096
_DIRECTIONS = 128
_SCORED = 512
"""Products whose cosine is computed, at the least."""
_SCORED_EACH = 20
"""The same for each product wanted."""


class VectorSearch:
    """Vectors, what may be found, and categories; half the memory of an index that keeps lists, or less.

    Where there are many products, their dot products along the 128 main directions choose which 20 times ``count``
    (512 at least) are scored exactly. Memory: for each product 2 bytes a dimension, and 512.

    With a ``correction`` products are scored as in lists of similar ones. Vectors stay as they came: the dot
    product with a centred vector follows from that with the vector and its distance to the centre.
    """

    def __init__(self, dimensions: int) -> None:
        self._vectors = VectorRows(dimensions, np.float16)
        self._findable: NDArray[np.bool_] = np.zeros(self._vectors.capacity, np.bool_)
        self._categories: NDArray[np.int32] = np.zeros(self._vectors.capacity, np.int32)
        self._codes: dict[str, int] = {}
        self._directions: Matrix | None = None
        self._along: Matrix = np.empty((0, _DIRECTIONS), np.float32)
        self._learn_at = _FIRST_LEARNT
        self._correction: Correction | None = None
        self._distances: NDArray[np.float64] = np.ones(self._vectors.capacity, np.float64)
        """From the centre."""

    def __len__(self) -> int:
        return len(self._vectors.row_of)

    def __contains__(self, product_id: str) -> bool:
        return product_id in self._vectors.row_of

    def apply(self, changes: Changes) -> None:
        """Take a batch of changes; see ``Changes``."""
        row_of = self._vectors.row_of
        rows = self._vectors.remove([product_id for product_id in changes.removed if product_id in row_of])
        self._vectors.release()
        self._findable[rows] = False
        new = [product_id for product_id in changes.vectors if product_id not in row_of]
        self._vectors.allocate(new)
        self._grow()
        self._findable[[row_of[product_id] for product_id in new]] = True
        if changes.vectors:
            self._write(changes)
        for product_id, listable in changes.listable.items():
            if product_id in row_of:
                self._findable[row_of[product_id]] = listable
        for product_id, traits in changes.traits.items():
            if product_id in row_of:
                self._categories[row_of[product_id]] = self._codes.setdefault(traits.category, len(self._codes))

    def correct(self, correction: Correction | None) -> None:
        """Correct for hubs from now on, or not; it takes some 20 µs for each product."""
        self._correction = correction
        rows = np.fromiter(self._vectors.row_of.values(), np.int64, len(self))
        for at in range(0, len(rows), _SAMPLE_ROWS):
            self._correct_rows(rows[at : at + _SAMPLE_ROWS])

    def take_changed(self) -> list[str]:
        """There are no lists that change."""
        return []

    def neighbours(self, product_id: str) -> list[Neighbour]:
        """No product has a list."""
        return []

    def search(self, vectors: Sequence[Vector], count: int, category: str | None = None) -> list[list[Neighbour]]:
        """The ``count`` nearest of each vector that may be found, of one category or of all; best first."""
        mask = self._findable
        if category is not None:
            mask = mask & (self._categories == self._codes.get(category, -1))
        rows = np.flatnonzero(mask)
        return [self._nearest(vector, rows, count) for vector in vectors]

    def _write(self, changes: Changes) -> None:
        self._vectors.write(changes.vectors, changes.penalties)
        if self._correction is not None:
            self._correct_rows(np.array([self._vectors.row_of[product_id] for product_id in changes.vectors]))
        if len(self) >= self._learn_at:
            self._learn()
            self._learn_at = _LEARN_AGAIN * len(self)
        elif self._directions is not None:
            rows = [self._vectors.row_of[product_id] for product_id in changes.vectors]
            self._along[rows] = self._vectors.gather(np.array(rows)) @ self._directions

    def _correct_rows(self, rows: Ints) -> None:
        if self._correction is None:
            self._vectors.penalties[rows], self._distances[rows] = 0.0, 1.0
            return
        features = self._vectors.matrix[rows].astype(np.float16, copy=False)
        self._vectors.penalties[rows] = self._correction(features)[1]
        apart = features.astype(np.float32) - self._correction.centre
        self._distances[rows] = np.maximum(np.linalg.norm(apart, axis=1), np.finfo(np.float32).tiny)

    def _learn(self) -> None:
        rows = np.fromiter(self._vectors.row_of.values(), np.int64, len(self))
        sample = self._vectors.gather(rows[:: max(1, len(rows) // _SAMPLE_ROWS)])
        self._directions = np.ascontiguousarray(np.linalg.eigh(sample.T @ sample)[1][:, : -_DIRECTIONS - 1 : -1])
        self._along = np.zeros((self._vectors.capacity, self._directions.shape[1]), np.float32)
        for start in range(0, self._vectors.high_water, _SAMPLE_ROWS):
            block = self._vectors.matrix[start : start + _SAMPLE_ROWS].astype(np.float32)
            self._along[start : start + len(block)] = block @ self._directions

    def _grow(self) -> None:
        more = self._vectors.capacity - len(self._findable)
        if more > 0:
            self._findable = np.append(self._findable, np.zeros(more, np.bool_))
            self._categories = np.append(self._categories, np.zeros(more, np.int32))
            self._distances = np.append(self._distances, np.ones(more))
            if self._directions is not None:
                self._along = np.concatenate([self._along, np.zeros((more, self._along.shape[1]), np.float32)])

    def _nearest(self, vector: Vector, rows: Ints, count: int) -> list[Neighbour]:
        scored = max(_SCORED, _SCORED_EACH * count)
        offset = 0.0
        if self._correction is not None:
            vector = self._correction.centred(vector[None, :])[0]
            offset = float(vector.astype(np.float64) @ self._correction.centre)
        if self._directions is not None and len(rows) > scored:
            query = vector.astype(np.float32) @ self._directions
            along = self._along if 2 * len(rows) > len(self) else self._along[rows]
            estimates = along @ query
            if along is self._along:
                estimates = estimates[rows]
            estimates = (estimates - offset) / self._distances[rows] - self._vectors.penalties[rows]
            rows = rows[np.argpartition(estimates, len(rows) - scored)[len(rows) - scored :]]
        scores = self._scores(vector, offset, rows)
        order = best_first(scores[None, :], self._vectors.labels[rows][None, :])[0, :count]
        return [Neighbour(str(self._vectors.ids[rows[at]]), float(scores[at])) for at in order]

    def _scores(self, vector: Vector, offset: float, rows: Ints) -> Scores:
        """Cosines less penalties, of a vector centred already, whose product with the centre is ``offset``."""
        first = np.zeros(len(rows), np.int64)
        if self._correction is None:
            return self._vectors.cosines_with(vector[None, :], first, rows) - self._vectors.penalties[rows]
        dots = exact_dots(vector[None, :].astype(np.float32), first, self._vectors.matrix, rows)
        cosines = np.minimum((dots - offset) / self._distances[rows], 1.0)
        return cosines - self._vectors.penalties[rows]
