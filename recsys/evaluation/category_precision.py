"""Do lists stay within the category? The measure that needs no shopper: category precision@k."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple


class CategoryPrecision(NamedTuple):
    """The share of places that the same category fills, averaged over ``queries`` products."""

    k: int
    queries: int
    precision: float


def category_precision(
    queries: Iterable[str], lists: Mapping[str, Sequence[str]], category_of: Mapping[str, str], k: int
) -> CategoryPrecision:
    """Of the first ``k`` places of each query's list, the share that products of its category fill.

    An empty place counts as a miss, so a product without a list counts as 0. Queries without a category are
    left out, for nothing can be said of them.
    """
    if k < 1:
        raise ValueError(f"k is {k}; give at least 1")
    asked = [query for query in queries if category_of.get(query)]
    hits = sum(
        category_of.get(listed) == category_of[query] for query in asked for listed in lists.get(query, ())[:k]
    )
    return CategoryPrecision(k, len(asked), hits / (k * len(asked)) if asked else 0.0)
