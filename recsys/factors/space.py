"""Vectors by number, and the sum of their outer products as they change."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.factors.solving import Vectors
from recsys.sessions.ragged_rows import Integers


class VectorSpace:
    """Vectors of float32 or float16; a number without a vector has zeros. Their Gram matrix is float64.

    It is added up anew after as many changes as there are vectors, so rounding does not pile up and a change costs
    O(factors²) on average.
    """

    def __init__(self, factors: int, dtype: type[np.float32 | np.float16] = np.float32) -> None:
        self.vectors: NDArray[Any] = np.zeros((0, factors), dtype)
        self._gram: Vectors = np.zeros((factors, factors))
        self._changes = 0

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def gram(self) -> Vectors:
        """Σ y yᵀ over all vectors."""
        return self._gram

    def reserve(self, numbers: int) -> None:
        """Have room for so many vectors."""
        missing = numbers - len(self.vectors)
        if missing > 0:
            added = np.zeros((max(missing, len(self.vectors) // 8), self.vectors.shape[1]), self.vectors.dtype)
            self.vectors = np.concatenate([self.vectors, added])

    def put(self, numbers: Integers, vectors: Vectors) -> None:
        """Replace vectors, each number once."""
        old = self.vectors[numbers].astype(np.float64)
        self.vectors[numbers] = vectors
        self._changes += len(numbers)
        if self._changes > len(self.vectors):
            self._changes = 0
            every = self.vectors.astype(np.float64)
            self._gram = every.T @ every
        else:
            new = self.vectors[numbers].astype(np.float64)
            self._gram += new.T @ new - old.T @ old
