"""Vectors of features, such as a category: what to expect of a product or a shopper before anything is known.

The expected vector of something is the sum of its features' vectors. They are fitted by ridge regression to the
vectors that were learnt from visits, each counting by how many visits it rests on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recsys.factors.solving import Vectors
from recsys.sessions.ragged_rows import Integers

Name = TypeVar("Name", str, int)
"""A product's id, or the hash of a shopper's."""

_EVERY = ""
"""The feature that everything has that has any."""
_HALF_SUPPORT = 20.0
"""Visits at which a vector counts half."""
_ITERATIONS = 50
_PRECISION = 1e-8


class FeatureVectors(Generic[Name]):
    """Features by name, and the vectors of features. Something without features is expected to be zero."""

    def __init__(self, factors: int, ridge: float = 30.0, max_features: int = 10_000) -> None:
        self._ridge = ridge
        self._max_features = max_features
        self._features: dict[Name, NDArray[np.int32]] = {}
        self._numbers: dict[str, int] = {_EVERY: 0}
        self._vectors: Vectors = np.zeros((1, factors))

    def __len__(self) -> int:
        """How many things have features."""
        return len(self._features)

    def __iter__(self) -> Iterator[Name]:
        return iter(self._features)

    @property
    def fitted(self) -> bool:
        """True once anything can be expected of features."""
        return bool(self._vectors.any())

    def put(self, name: Name, features: Sequence[str]) -> None:
        """Take a thing's features as they are now; those beyond ``max_features`` different ones are left out."""
        numbers = self._numbers
        for feature in features:
            if feature not in numbers and len(numbers) < self._max_features:
                numbers[feature] = len(numbers)
        if features:
            known: set[int] = {numbers[feature] for feature in features if feature in numbers}
            self._features[name] = np.array(sorted({0, *known}), np.int32)
        else:
            self._features.pop(name, None)
        self._make_room()

    def restore(self, features: Sequence[str], vectors: Vectors) -> None:
        """Go on from vectors of features as they were before a restart."""
        for feature in features:
            self._numbers.setdefault(feature, len(self._numbers))
        self._make_room()
        self._vectors[[self._numbers[feature] for feature in features]] = vectors

    def _make_room(self) -> None:
        missing = len(self._numbers) - len(self._vectors)
        if missing > 0:
            added = np.zeros((max(missing, len(self._vectors)), self._vectors.shape[1]))
            self._vectors = np.concatenate([self._vectors, added])

    def expected(self, names: Sequence[Name]) -> Vectors:
        """What to expect, shape (names, factors)."""
        return np.asarray(self._matrix(names) @ self._vectors)

    @property
    def features(self) -> list[str]:
        """The features, by number; the first, which is empty, is everything's."""
        return list(self._numbers)

    @property
    def vectors(self) -> Vectors:
        """Their vectors, shape (features, factors)."""
        return self._vectors[: len(self._numbers)]

    def reset(self) -> None:
        """Expect nothing of any feature, until they are fitted anew."""
        self._vectors[:] = 0.0

    def fit(self, names: Sequence[Name], vectors: Vectors, visits: Integers) -> None:
        """Fit the features' vectors to those that were learnt, from where they are."""
        kept = [place for place, name in enumerate(names) if name in self._features]
        if not kept:
            return
        matrix = self._matrix([names[place] for place in kept])
        support = visits[kept] / (visits[kept] + _HALF_SUPPORT)
        weighed = matrix.T.multiply(support).tocsr()
        left = weighed @ matrix + self._ridge * sp.eye_array(matrix.shape[1])
        self._vectors = _conjugate_gradients(left.tocsr(), np.asarray(weighed @ vectors[kept]), self._vectors)

    def _matrix(self, names: Sequence[Name]) -> sp.csr_array:
        """Names × features, ones where a thing has a feature."""
        none = np.empty(0, np.int32)
        rows = [self._features.get(name, none) for name in names]
        bounds = np.append(0, np.cumsum([len(row) for row in rows]))
        indices = np.concatenate(rows) if rows else none
        return sp.csr_array((np.ones(len(indices)), indices, bounds), shape=(len(rows), len(self._vectors)))


def _conjugate_gradients(left: sp.csr_array, right: Vectors, start: Vectors) -> Vectors:
    """Solve a positive definite system for many right-hand sides, preconditioned by its diagonal."""
    scale = 1.0 / left.diagonal()[:, None]
    found = start.copy()
    residual = right - left @ found
    direction = scale * residual
    length = np.einsum("fk,fk->k", residual, direction)
    enough = _PRECISION * np.maximum(np.einsum("fk,fk->k", right, scale * right), 1e-30)
    for _ in range(_ITERATIONS):
        if (length <= enough).all():
            break
        turned = left @ direction
        step = length / np.maximum(np.einsum("fk,fk->k", direction, turned), 1e-300)
        found += step * direction
        residual -= step * turned
        scaled = scale * residual
        before, length = length, np.einsum("fk,fk->k", residual, scaled)
        direction = scaled + length / np.maximum(before, 1e-300) * direction
    return found
