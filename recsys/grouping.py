"""Numbered things by their groups, in time that grows with how many there are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recsys.compiled import compiled

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


@compiled
def grouped(groups: Integers, number: int) -> tuple[Integers, Integers]:
    """The places of each group's members, group after group, in each as they come; and where each begins.

    ``groups`` are int64 from 0 to ``number`` - 1; the second array has one more element, the end. A counting sort.
    """
    bounds = np.zeros(number + 1, np.int64)
    for group in groups:
        bounds[group + 1] += 1
    for group in range(number):
        bounds[group + 1] += bounds[group]
    ends = bounds[:-1].copy()
    order = np.empty(len(groups), np.int64)
    for place in range(len(groups)):
        order[ends[groups[place]]] = place
        ends[groups[place]] += 1
    return order, bounds


def sums_by_group(groups: Integers, values: Floats, number: int) -> Floats:
    """The sum of each group's values, added up in the order that they come."""
    return np.bincount(groups, values, number).astype(np.float64, copy=False)
