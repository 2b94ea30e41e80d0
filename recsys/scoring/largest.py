"""The largest scores of each query among those of all products."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recsys.compiled import compiled

Scores = NDArray[np.float32]

_LEAST = np.float32(1e-9)


class Largest(NamedTuple):
    """Rows in order, columns in order within them, and the values there."""

    rows: NDArray[np.int64]
    columns: NDArray[np.int32]
    values: NDArray[np.float64]


def largest(scores: Scores, most: int) -> Largest:
    """The ``most`` largest above zero of each row; of values that equal the last of them the first.

    ``scores`` are float32, shape (queries, products).
    """
    rows, columns = scores.shape
    # So many of the largest of every so-manieth value are a bound that most values are below.
    whole = columns // (2 * most) * 2 * most
    lanes = scores[:, :whole].reshape(rows, -1, 2 * most).max(axis=1, initial=_LEAST)
    bounds = np.partition(lanes, most, axis=1)[:, most]
    return _collect(scores, bounds, most)


@compiled
def _collect(scores: Scores, bounds: Scores, most: int) -> Largest:
    rows, columns = scores.shape
    found_rows, found_columns = np.empty(rows * most, np.int64), np.empty(rows * most, np.int32)
    values = np.empty(rows * most, np.float64)
    kept, heap = np.empty(columns + 1, np.int32), np.empty(most, np.float32)
    end = 0
    for row in range(rows):
        own = scores[row]
        count = _at_least(own, bounds[row], kept)
        least = _least_of_largest(own, kept[:count], heap)
        equal = most - _number_above(own, kept[:count], least)
        for column in kept[:count]:
            value = own[column]
            if value > least or (value == least and equal > 0):
                equal -= value == least
                found_rows[end], found_columns[end], values[end] = row, column, value
                end += 1
    return Largest(found_rows[:end], found_columns[:end], values[:end])


@compiled
def _at_least(row: Scores, least: np.float32, kept: NDArray[np.int32]) -> int:
    """Write down the columns whose values are at least so much; how many there are."""
    count = 0
    for column in range(len(row)):
        # Without a branch, which could not be foreseen.
        kept[count] = column
        count += row[column] >= least
    return count


@compiled
def _number_above(row: Scores, columns: NDArray[np.int32], least: np.float32) -> int:
    count = 0
    for column in columns:
        count += row[column] > least
    return count


@compiled
def _least_of_largest(row: Scores, columns: NDArray[np.int32], heap: Scores) -> np.float32:
    """The least of as many of the largest as the heap has room for, or the least that counts."""
    heap[:] = _LEAST
    for column in columns:
        value = row[column]
        if value <= heap[0]:
            continue
        place, child = 0, 1
        while child < len(heap):
            if child + 1 < len(heap) and heap[child + 1] < heap[child]:
                child += 1
            if heap[child] >= value:
                break
            heap[place] = heap[child]
            place, child = child, 2 * child + 1
        heap[place] = value
    least: np.float32 = heap[0]
    return least
