"""What suits a shopper's taste: their vector, folded in from what they did of late, against all products'."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.factors.generations import Generations
from recsys.factors.profiles import ProfileVectors
from recsys.factors.solving import Gram, Vectors, Visited, regularised, solve
from recsys.factors.space import VectorSpace
from recsys.scoring.largest import largest
from recsys.scoring.query import Numbers, Queries
from recsys.scoring.scorers import NOTHING, Scored
from recsys.scoring.slots import ProductSlots
from schemas.events import ItemFactors, ProfileFactors, Reason


@dataclass(frozen=True, slots=True)
class FoldInRules:
    """How a shopper's vector follows from the products of late."""

    alpha: float = 2.0
    regularisation: float = 10.0
    rank_decay: float = 0.7
    """What a product says, as a share of what the one visited next after it says."""
    most: int = 100
    """Products that are scored, the best."""


class FactorScorer:
    """Follows the vectors of all products."""

    name = "factors"
    reason = Reason.YOUR_TASTE

    def __init__(self, slots: ProductSlots, rules: FoldInRules) -> None:
        self._slots = slots
        self._rules = rules
        self._generations = Generations()
        self._space: VectorSpace | None = None
        self._gram: Gram | None = None
        self._profiles: ProfileVectors | None = None

    def put_profiles(self, published: ProfileFactors | None) -> None:
        """Take what profiles lead to expect as it is now."""
        self._profiles = None if published is None else ProfileVectors(published)

    @property
    def nbytes(self) -> int:
        """Bytes that the vectors take."""
        return 0 if self._space is None else self._space.vectors.nbytes

    def put(self, products: Sequence[tuple[str, ItemFactors | None]]) -> None:
        """Take products' vectors as they are now, the latest last, None for one that is no more.

        Those of a full refit count once all of them are there, and from then on no others do.
        """
        anew, latest = self._generations.take(products)
        if anew:
            self._space = None
        if not latest:
            return
        length = max(map(len, latest.values()))
        if self._space is None:
            self._space = VectorSpace(length // 4)
        length = 4 * self._space.vectors.shape[1]
        columns = b"".join(vector if len(vector) == length else bytes(length) for vector in latest.values())
        slots = self._slots.assign(list(latest)).astype(np.int64)
        self._space.reserve(self._slots.capacity)
        self._gram = None
        self._space.put(slots, np.frombuffer(columns, "<f4").reshape(len(latest), -1).astype(np.float64))

    def score(self, queries: Queries) -> Scored:
        """The best products that may be recommended, by the product of vectors where that is above zero."""
        if self._space is None or not (len(queries.owners) or any(queries.profiles)):
            return NOTHING
        every = len(self._slots)
        self._space.reserve(every)
        users = self._fold_in(queries, self._space)
        scores = users.astype(np.float32) @ self._space.vectors[:every].T
        scores *= self._slots.recommendable[:every]
        found = largest(scores, self._rules.most)
        return Scored(found.rows, found.columns, found.values, np.full(len(found.rows), -1))

    def _fold_in(self, queries: Queries, space: VectorSpace) -> Vectors:
        """The shoppers' vectors, shape (queries, factors)."""
        rules = self._rules
        counts: Numbers = np.bincount(queries.owners, minlength=len(queries))
        ranks = np.arange(len(queries.owners)) - np.repeat(np.cumsum(counts) - counts, counts)
        slots = queries.numbers(self._slots)
        counted = (slots >= 0) & (queries.weights > 0.0)
        weights: NDArray[np.float64] = np.where(counted, np.power(rules.rank_decay, ranks), 0.0)
        vectors: NDArray[np.float64] = space.vectors[slots].astype(np.float64)
        if self._gram is None:
            self._gram = regularised(space.gram, rules.regularisation)
        expected = self._expected(queries)
        users = solve(self._gram, Visited(counts, vectors, weights), rules.alpha, expected)
        if expected is not None:
            # Who has done nothing yet has not passed over anything either.
            users[counts == 0] = expected[counts == 0]
        return users

    def _expected(self, queries: Queries) -> Vectors | None:
        """What profiles lead to expect, shape (queries, factors); None where that is nothing."""
        profiles = self._profiles
        if profiles is None or self._space is None or not any(queries.profiles):
            return None
        if profiles.generation != self._generations.generation:
            return None
        return profiles.expected(queries.profiles) if profiles.factors == self._space.vectors.shape[1] else None
