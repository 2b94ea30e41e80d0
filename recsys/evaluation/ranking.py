"""How good ranked lists are, against what shoppers did next: HR, NDCG, recall, MRR and coverage at k.

As defined by Herlocker et al. (ACM TOIS 2004) and Järvelin & Kekäläinen (ACM TOIS 2002), with binary relevance.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np


class RankingMetrics(NamedTuple):
    """Means over ``queries``; a query without a list counts as 0.

    hr: share of queries with a hit, which is a relevant product in the first k. ndcg: the hits' gain, 1 / log2(1 +
    rank) each, over that of the best list, with min(k, relevant) hits. recall: hits over min(k, relevant). mrr:
    1 / rank of the first hit. coverage: share of the catalogue's products in the first k of at least one list.
    """

    k: int
    queries: int
    hr: float
    ndcg: float
    recall: float
    mrr: float
    coverage: float


class RankingEvaluation:
    """Sums the metrics up, query by query, in memory that does not grow with the queries."""

    def __init__(self, k: int, catalogue: Collection[str]) -> None:
        if k < 1:
            raise ValueError(f"k is {k}; give at least 1")
        self._k = k
        self._catalogue = frozenset(catalogue)
        self._gain = 1.0 / np.log2(np.arange(2, k + 2))
        self._ideal = np.cumsum(self._gain)
        self._queries = 0
        self._sums = np.zeros(4)
        self._recommended: set[str] = set()

    def add(self, listed: Sequence[str], relevant: Collection[str], scores: Sequence[float] | None = None) -> None:
        """Count one query: what was listed, best first, and what would have been right (at least one product).

        With ``scores``, one for each listed product, ties count against: a hit has the last rank of all products
        with its score. The list then has to go on to the (k + 1)-th product, where there is one.
        """
        if not relevant:
            raise ValueError("a query needs at least one relevant product")
        relevant = frozenset(relevant)
        self._queries += 1
        self._recommended.update(self._catalogue.intersection(listed[: self._k]))
        last = _places_in_order(listed) if scores is None else _last_places_of_ties(scores)
        hits = [
            place
            for product_id, place in zip(listed, last, strict=True)
            if product_id in relevant and place < self._k
        ]
        if hits:
            best = min(self._k, len(relevant))
            ndcg = self._gain[hits].sum() / self._ideal[best - 1]
            self._sums += (1.0, ndcg, len(hits) / best, 1.0 / (min(hits) + 1))

    def metrics(self) -> RankingMetrics:
        """The means so far; all 0 before the first query."""
        hr, ndcg, recall, mrr = (self._sums / max(self._queries, 1)).tolist()
        coverage = len(self._recommended) / max(len(self._catalogue), 1)
        return RankingMetrics(self._k, self._queries, hr, ndcg, recall, mrr, coverage)


def _places_in_order(listed: Sequence[str]) -> Sequence[int]:
    return range(len(listed))


def _last_places_of_ties(scores: Sequence[float]) -> Sequence[int]:
    """For each place of a descending list, the last place with the same score."""
    descending = -np.asarray(scores, np.float64)
    if (np.diff(descending) < 0).any():
        raise ValueError("scores rise within a list; give the best first")
    places: list[int] = (np.searchsorted(descending, descending, side="right") - 1).tolist()
    return places
