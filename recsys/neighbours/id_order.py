"""Integers in the order of ids, so that ties are broken by id without comparing text."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]

STEP = 1 << 32
"""Distance of neighbouring labels where there is room."""
_LARGEST = 1 << 61


class Relabelling(NamedTuple):
    """Old labels in ascending order, and what each has become."""

    before: Labels
    after: Labels

    def __call__(self, labels: Labels) -> Labels:
        """Translate; a label that is gone becomes that of the last one before it, which cuts at the same place."""
        places = np.searchsorted(self.before, labels, side="right") - 1
        return np.where(places >= 0, self.after[places], self.after[0] - 1)


class IdOrder:
    """A label for each id; labels stand in the order of the ids.

    A new id takes a label from the gap that it falls into; all are dealt anew when a gap is used up (order
    maintenance as in Dietz and Sleator, STOC 1987, with one level).
    """

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._labels: Labels = np.empty(0, np.int64)

    def __len__(self) -> int:
        return len(self._ids)

    def labels(self, ids: Sequence[str]) -> Labels:
        """The labels of ids that have one."""
        return self._labels[[bisect_left(self._ids, an_id) for an_id in ids]]

    def add(self, new: Iterable[str]) -> Relabelling | None:
        """Give labels to ids that have none; returns how older ones changed, None if they did not."""
        ids = sorted(new)
        if not ids:
            return None
        places = np.array([bisect_left(self._ids, an_id) for an_id in ids])
        merged = np.insert(self._labels, places, _labels_in_gaps(self._labels, places))
        before = self._labels
        self._ids.extend(ids)
        self._ids.sort()  # a merge of two sorted runs
        if len(merged) == 1 or (np.all(merged[1:] > merged[:-1]) and max(-merged[0], merged[-1]) < _LARGEST):
            self._labels = merged
            return None
        self._labels = np.arange(len(merged), dtype=np.int64) * STEP
        kept = np.delete(self._labels, places + np.arange(len(places)))
        return Relabelling(before, kept) if len(before) else None

    def remove(self, ids: Iterable[str]) -> None:
        """Take labels back."""
        places = sorted({bisect_left(self._ids, an_id) for an_id in ids}, reverse=True)
        for place in places:
            del self._ids[place]
        self._labels = np.delete(self._labels, places)


def _labels_in_gaps(labels: Labels, places: NDArray[np.int64]) -> Labels:
    """Labels for ids that go before ``labels[places]``, spread evenly over each gap; equal ones if it is full."""
    _, first, count = np.unique(places, return_index=True, return_counts=True)
    nth = np.arange(len(places)) - np.repeat(first, count) + 1
    many = np.repeat(count, count)
    if not len(labels):
        return nth * STEP
    low = labels[np.maximum(places - 1, 0)]
    high = labels[np.minimum(places, len(labels) - 1)]
    spread = low + nth * ((high - low) // (many + 1))
    spread = np.where(places == 0, high - (many - nth + 1) * STEP, spread)
    return np.where(places == len(labels), low + nth * STEP, spread)
