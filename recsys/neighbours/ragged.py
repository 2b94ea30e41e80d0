"""Best-first ordering of groups of unequal size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Scores = NDArray[np.float64]


def positions_in_group(groups: NDArray[np.integer]) -> Ints:
    """The place of each element in its run of equal ``groups``; equal ones stand together."""
    if not len(groups):
        return np.empty(0, np.int64)
    starts = np.flatnonzero(np.r_[True, groups[1:] != groups[:-1]])
    lengths = np.diff(np.r_[starts, len(groups)])
    return np.arange(len(groups)) - np.repeat(starts, lengths)


def best_first(scores: Scores, labels: Ints) -> Ints:
    """For each row of (n, m) scores, the columns by score descending, then label ascending; -inf is no entry."""
    order = np.argsort(-scores, axis=1, kind="stable")
    ordered = np.take_along_axis(scores, order, axis=1)
    ties = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] > -np.inf)
    tied = np.flatnonzero(ties.any(axis=1))
    if len(tied):
        order[tied] = np.lexsort((labels[tied], -scores[tied]), axis=-1)
    return order
