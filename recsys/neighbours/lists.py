"""The lists of all products as arrays, best first, each with a margin beyond what is shown."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recsys.neighbours.id_order import Relabelling
from recsys.neighbours.ragged import Ints, Scores, best_first, positions_in_group

Mask = NDArray[np.bool_]

NOBODY = -1
_LAST = np.iinfo(np.int64).max
_CELLS_AT_ONCE = 1 << 20
"""Entries that are put in order at once, so that memory stays bounded."""


class Found(NamedTuple):
    """Pairs of a list's row and a product's row, grouped by the first, with exact scores."""

    rows: Ints
    products: Ints
    scores: Scores


class NeighbourLists:
    """For each row, entries (product row, score), and a cut.

    The invariant: a list holds every candidate at or before its cut (score, label), and no other. A complete
    list has the cut (-inf, last label). The lists of rows without a product have the cut (inf, ·), which
    nothing passes. Entries that leave make a list shorter and leave the cut where it is; only when fewer
    than ``shown`` are left does the row have to be searched again.
    """

    def __init__(self, shown: int, margin: int, capacity: int) -> None:
        self.shown = shown
        self.length_limit = shown + margin
        self.products = np.full((capacity, self.length_limit), NOBODY, np.int32)
        self.scores: Scores = np.full((capacity, self.length_limit), -np.inf)
        self.lengths: Ints = np.zeros(capacity, np.int64)
        self.cut_scores: Scores = np.full(capacity, np.inf)
        self.cut_labels: Ints = np.full(capacity, _LAST)

    def grow(self, capacity: int) -> None:
        """Make room for more rows."""
        more = capacity - len(self.lengths)
        if more <= 0:
            return
        empty = NeighbourLists(self.shown, self.length_limit - self.shown, more)
        for name in ("products", "scores", "lengths", "cut_scores", "cut_labels"):
            setattr(self, name, np.concatenate([getattr(self, name), getattr(empty, name)]))

    def relabel(self, relabelling: Relabelling) -> None:
        """Labels were dealt anew."""
        self.cut_labels = np.where(self.cut_labels == _LAST, _LAST, relabelling(self.cut_labels))

    def clear(self, rows: Ints) -> None:
        """Empty lists, and let nothing into them."""
        self.products[rows] = NOBODY
        self.scores[rows] = -np.inf
        self.lengths[rows] = 0
        self.cut_scores[rows] = np.inf
        self.cut_labels[rows] = _LAST

    def drop(self, leaving: Mask) -> Ints:
        """Take the products that ``leaving`` (capacity,) marks out of every list; returns the lists' rows."""
        marks = np.append(leaving, False)  # where an empty place, -1, looks
        touched = np.flatnonzero(marks[self.products].any(axis=1))
        products, scores = self.products[touched], self.scores[touched]
        gone = marks[products]
        products[gone] = NOBODY
        scores[gone] = -np.inf
        order = np.argsort(products == NOBODY, axis=1, kind="stable")
        self.products[touched] = np.take_along_axis(products, order, axis=1)
        self.scores[touched] = np.take_along_axis(scores, order, axis=1)
        self.lengths[touched] -= gone.sum(axis=1)
        return touched

    def too_short(self, rows: Ints) -> Ints:
        """Those rows that have fewer entries than are shown, though there may be more candidates."""
        cuts = self.cut_scores[rows]
        return rows[(self.lengths[rows] < self.shown) & (cuts > -np.inf) & (cuts < np.inf)]

    def passes(self, found: Found, labels: Ints) -> Mask:
        """Which pairs are at or before the cut of their list."""
        cuts = self.cut_scores[found.rows]
        ties = (found.scores == cuts) & (labels[found.products] <= self.cut_labels[found.rows])
        passing: Mask = (found.scores > cuts) | ties
        return passing

    def replace(self, rows: Ints, found: Found, labels: Ints) -> None:
        """Set lists from what a search found: all candidates, or the best at least where they fill a list."""
        self.clear(rows)
        self.cut_scores[rows] = -np.inf
        self._insert(found, labels)
        self._cut_at_last(rows[self.lengths[rows] == self.length_limit], labels)

    def merge(self, found: Found, labels: Ints) -> Ints:
        """Let products that are in no list yet into those whose cut they pass; returns the lists' rows."""
        passing = self.passes(found, labels)
        found = Found(found.rows[passing], found.products[passing], found.scores[passing])
        return self._insert(found, labels)

    def _insert(self, found: Found, labels: Ints) -> Ints:
        nth = positions_in_group(found.rows)
        rows: Ints = found.rows[nth == 0]
        counts = np.diff(np.r_[np.flatnonzero(nth == 0), len(nth)])
        starts = np.cumsum(counts) - counts
        by_count = np.argsort(counts, kind="stable")
        at = 0
        while at < len(rows):
            # Ascending counts: the last of a chunk is its widest, so look at what fits from the widest possible.
            fits = np.flatnonzero(
                (np.arange(1, len(rows) - at + 1)) * (self.length_limit + counts[by_count[at:]]) <= _CELLS_AT_ONCE
            )
            size = int(fits[-1]) + 1 if len(fits) else 1
            chunk = by_count[at : at + size]
            self._insert_chunk(rows[chunk], starts[chunk], counts[chunk], found, labels)
            at += size
        return rows

    def _insert_chunk(self, rows: Ints, starts: Ints, counts: Ints, found: Found, labels: Ints) -> None:
        width = int(counts.max())
        places = starts[:, None] + np.minimum(np.arange(width), counts[:, None] - 1)
        filled = np.arange(width) < counts[:, None]
        products = np.concatenate([self.products[rows], np.where(filled, found.products[places], NOBODY)], axis=1)
        scores = np.concatenate([self.scores[rows], np.where(filled, found.scores[places], -np.inf)], axis=1)
        order = best_first(scores, labels[products])[:, : self.length_limit]
        self.products[rows] = np.take_along_axis(products, order, axis=1)
        self.scores[rows] = np.take_along_axis(scores, order, axis=1)
        lengths = self.lengths[rows] + counts
        self.lengths[rows] = np.minimum(lengths, self.length_limit)
        self._cut_at_last(rows[lengths > self.length_limit], labels)

    def _cut_at_last(self, rows: Ints, labels: Ints) -> None:
        last = self.lengths[rows] - 1
        self.cut_scores[rows] = self.scores[rows, last]
        self.cut_labels[rows] = labels[self.products[rows, last]]
