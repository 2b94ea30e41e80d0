"""One pass over all vectors for a batch of queries: blocked matrix products, and what they leave to look at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.neighbours.ragged import Ints, positions_in_group
from recsys.neighbours.vectors import Matrix, VectorRows

Float32s = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Scan:
    """What to look for. Queries are vectors (q, d); ``rows`` are their own rows, -1 where they are no product's.

    The first ``entering`` queries look for lists to enter: rows whose cosine may reach ``floors`` (capacity,).
    Those from ``searching`` on look for their ``count`` nearest among ``listable`` (capacity,) rows.
    """

    queries: Matrix
    rows: Ints
    entering: int
    searching: int
    count: int
    floors: Float32s
    listable: NDArray[np.bool_]
    slack: float


@dataclass(frozen=True, slots=True)
class Candidates:
    """Pairs that float32 cannot rule out, as query numbers and rows."""

    enter_queries: Ints
    enter_rows: Ints
    near_queries: Ints
    near_rows: Ints


def scan(vectors: VectorRows, task: Scan, block_rows: int) -> Candidates:
    """Multiply, and keep what may matter; what it leaves out certainly does not.

    Memory: ``block_rows`` x (d + 2 q) x 4 bytes, and the pairs that are kept.
    """
    entered: list[tuple[Ints, Ints]] = []
    nearest = _Nearest(len(task.queries) - task.searching, task.count, 2 * task.slack)
    for start, stop, matrix in vectors.blocks(block_rows):
        products = task.queries @ matrix.T
        own = np.flatnonzero((task.rows >= start) & (task.rows < stop))
        products[own, task.rows[own] - start] = -np.inf
        if task.entering:
            hits = np.flatnonzero(products[: task.entering] >= task.floors[start:stop])
            entered.append((hits // (stop - start), hits % (stop - start) + start))
        if nearest.queries:
            products[:, np.flatnonzero(~task.listable[start:stop])] = -np.inf
            nearest.look(products[task.searching :], start)
    queries, rows = nearest.best()
    none = (np.empty(0, np.int64), np.empty(0, np.int64))
    enter_queries, enter_rows = (np.concatenate(parts) for parts in zip(none, *entered, strict=True))
    return Candidates(enter_queries, enter_rows, queries + task.searching, rows)


class _Nearest:
    """The best of each query so far, and all that come within ``slack`` of the last of them."""

    def __init__(self, queries: int, count: int, slack: float) -> None:
        self.queries = queries
        self._count = count
        self._slack = np.float32(slack)
        self._thresholds: Float32s = np.full(queries, np.finfo(np.float32).min)
        self._kept: list[tuple[Ints, Ints, Float32s]] = []
        self._pending = 0

    def look(self, products: Float32s, start: int) -> None:
        """Take the products (q, b) with the rows from ``start`` on; -inf is no candidate."""
        width = products.shape[1]
        if not self._kept and width > self._count:
            kth = np.partition(products, width - self._count, axis=1)[:, width - self._count]
            self._thresholds = np.maximum(self._thresholds, kth - self._slack)
        hits = np.flatnonzero(products >= self._thresholds[:, None])
        self._kept.append((hits // width, hits % width + start, products.ravel()[hits]))
        self._pending += len(hits)
        if self._pending > 4 * self.queries * self._count:
            self._tighten()

    def best(self) -> tuple[Ints, Ints]:
        """Query numbers, ascending, and rows."""
        if not self._kept:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        self._tighten()
        queries, rows, _ = self._kept[0]
        return queries, rows

    def _tighten(self) -> None:
        queries, rows, products = (np.concatenate(parts) for parts in zip(*self._kept, strict=True))
        order = np.argsort(queries, kind="stable")
        queries, rows, products = queries[order], rows[order], products[order]
        nth = positions_in_group(queries)
        width = int(nth.max(initial=0)) + 1
        if width > self._count:
            table = np.full((self.queries, width), np.finfo(np.float32).min, np.float32)
            table[queries, nth] = products
            kth = np.partition(table, width - self._count, axis=1)[:, width - self._count]
            self._thresholds = np.maximum(self._thresholds, kth - self._slack)
            keep = products >= self._thresholds[queries]
            queries, rows, products = queries[keep], rows[keep], products[keep]
        self._kept = [(queries, rows, products)]
        self._pending = 0
