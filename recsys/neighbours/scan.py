"""One pass over all vectors for a batch of queries: blocked matrix products, and what they leave to look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recsys.neighbours.pairing import RowTraits
from recsys.neighbours.ragged import Ints, Scores, positions_in_group
from recsys.neighbours.sketch import LARGEST_REST, rest_of
from recsys.neighbours.vectors import Matrix, VectorRows

Float32s = NDArray[np.float32]

_LOWEST = np.finfo(np.float32).min
_PENDING = 20
"""Pairs waiting, as a multiple of those wanted, at which exact scores are worth while to raise thresholds."""
_NONE = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class Scan:
    """What to look for. ``queries`` (q, d) are vectors; ``rows`` (q,) their own rows, -1 where they have none.

    The first ``entering`` queries look for lists to enter: rows whose cosine may reach ``floors`` (capacity,).
    Those from ``searching`` on look for their ``count`` nearest among ``candidates`` (capacity,). ``scores``
    gives the exact scores of pairs of query numbers and rows, and products are off by no more than ``slack``.
    A score is the cosine less the penalty of the one that is listed: the query where it enters, with its
    ``own_penalties`` (q,), the row where it is found, with its ``penalties`` (capacity,). ``traits`` say
    which rows a query's own may be listed with.
    """

    queries: Matrix
    rows: Ints
    entering: int
    searching: int
    count: int
    floors: Float32s
    candidates: NDArray[np.bool_]
    scores: Callable[[Ints, Ints], Scores]
    slack: float
    own_penalties: Float32s
    penalties: Float32s
    traits: RowTraits

    def alone(self, number: int) -> Scan:
        """The search of one query."""
        one = slice(number, number + 1)
        return replace(
            self,
            queries=self.queries[one],
            rows=self.rows[one],
            entering=0,
            searching=0,
            scores=lambda queries, found: self.scores(queries + number, found),
        )


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs that a bound cannot rule out, as query numbers and rows."""

    enter_queries: Ints
    enter_rows: Ints
    near_queries: Ints
    near_rows: Ints


def scan(vectors: VectorRows, task: Scan, block_rows: int) -> Pairs:
    """Multiply, and keep what may matter; what it leaves out certainly does not.

    Sketches are multiplied where they say enough of the queries. Memory: ``block_rows`` x (d + 2 q) x 4 bytes, and
    the pairs that are kept.
    """
    queries, sketched = _multiplied(vectors, task.queries)
    entered: list[tuple[Ints, Ints]] = [(_NONE, _NONE)]
    nearest = _Nearest(task)
    penalties = task.penalties
    for start, stop, matrix in vectors.blocks(block_rows, sketched=sketched):
        bounds = queries @ matrix.T
        own = np.flatnonzero((task.rows >= start) & (task.rows < stop))
        bounds[own, task.rows[own] - start] = -np.inf
        outside = task.traits.outside(task.rows, slice(start, stop))
        if outside is not None:
            bounds[outside] = -np.inf
        if task.entering:
            floors = task.floors[start:stop]
            if task.own_penalties.any():
                floors = floors + task.own_penalties[: task.entering, None]
            hits = np.flatnonzero(bounds[: task.entering] >= floors)
            entered.append((hits // (stop - start), hits % (stop - start) + start))
        if task.searching < len(queries):
            bounds[:, np.flatnonzero(~task.candidates[start:stop])] = -np.inf
            looked_at = bounds[task.searching :]
            if penalties.any():
                looked_at -= penalties[start:stop]
            nearest.look(looked_at, start)
    enter_queries, enter_rows = (np.concatenate(parts) for parts in zip(*entered, strict=True))
    return Pairs(enter_queries, enter_rows, *nearest.best())


def _multiplied(vectors: VectorRows, queries: Matrix) -> tuple[Matrix, bool]:
    """What stands for the queries in products, and whether that is a sketch."""
    if vectors.sketch is not None:
        sketches = vectors.sketch(queries)
        if rest_of(sketches) <= 2 * LARGEST_REST:
            return sketches, True
    return queries, False


class _Nearest:
    """The pairs of the searching queries whose bound reaches a threshold that rises.

    A threshold is the last of any ``count`` exact scores, for the last of the nearest is no worse.
    """

    def __init__(self, task: Scan) -> None:
        self._task = task
        self._queries = len(task.queries) - task.searching
        self._thresholds: Float32s = np.full(self._queries, _LOWEST)
        self._kept: list[tuple[Ints, Ints, Float32s]] = []
        self._pending = 0

    def look(self, bounds: Float32s, start: int) -> None:
        """Take the bounds (q, b) of the rows from ``start`` on; -inf is no candidate."""
        width = bounds.shape[1]
        if not self._kept:
            self._raise(bounds, np.broadcast_to(np.arange(start, start + width), bounds.shape))
        hits = np.flatnonzero(bounds >= self._thresholds[:, None])
        self._kept.append((hits // width, hits % width + start, bounds.ravel()[hits]))
        self._pending += len(hits)
        if self._pending > _PENDING * self._queries * self._task.count:
            self._tighten()

    def best(self) -> tuple[Ints, Ints]:
        """Query numbers, ascending, and rows."""
        if not self._kept:
            return _NONE, _NONE
        self._tighten()
        queries, rows, _ = self._kept[0]
        return queries + self._task.searching, rows

    def _tighten(self) -> None:
        queries, rows, bounds = (np.concatenate(parts) for parts in zip(*self._kept, strict=True))
        order = np.argsort(queries, kind="stable")
        queries, rows, bounds = queries[order], rows[order], bounds[order]
        nth = positions_in_group(queries)
        shape = (self._queries, int(nth.max(initial=-1)) + 1)
        bound_table, row_table = np.full(shape, -np.inf, np.float32), np.zeros(shape, np.int64)
        bound_table[queries, nth], row_table[queries, nth] = bounds, rows
        self._raise(bound_table, row_table)
        keep = bounds >= self._thresholds[queries]
        self._kept = [(queries[keep], rows[keep], bounds[keep])]
        self._pending = 0

    def _raise(self, bounds: Float32s, rows: Ints) -> None:
        """Score those with the ``count`` best bounds of (q, b), and raise the thresholds to the last of them."""
        count, width = self._task.count, bounds.shape[1]
        if width <= count:
            return
        best = np.argpartition(bounds, width - count, axis=1)[:, width - count :]
        full = np.flatnonzero((np.take_along_axis(bounds, best, axis=1) > -np.inf).all(axis=1))
        best_rows = np.take_along_axis(rows, best, axis=1)[full]
        queries = np.repeat(full + self._task.searching, count)
        lasts = self._task.scores(queries, best_rows.ravel()).reshape(len(full), count).min(axis=1)
        reached = (lasts - self._task.slack).astype(np.float32)
        self._thresholds[full] = np.maximum(self._thresholds[full], reached)
