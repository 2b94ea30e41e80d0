"""Approximate neighbours for large catalogues: a graph says which pairs to look at, exact scores decide."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from recsys.neighbours.exact import ExactIndex, ExactSettings
from recsys.neighbours.graph import NearRows, NearVectors, directions_of
from recsys.neighbours.index import Vector
from recsys.neighbours.ragged import Ints
from recsys.neighbours.scan import Pairs, Scan
from recsys.neighbours.vectors import Matrix

_SAMPLE_ROWS = 4_096
_LOAD_ROWS = 16_384
_ROWS_EACH = 256
"""How many times fewer searches are checked than there are products: a check costs as much as so many rows."""
_OFTENEST = 64
_WIDER = 6
"""Times as many products looked at where only some of them may be in a list."""
_FORGET = 0.98
"""What a check weighs after the next one."""


@dataclass(frozen=True, slots=True)
class ApproximateSettings:
    """``graph_from`` products on a graph is used; with fewer, everything is exact.

    Vectors stand in the graph along ``directions`` main directions; the nearest ``looked_at`` are scored exactly
    for a product's own list, and the nearest ``entered`` for whether it enters theirs: a hub enters the lists of
    products that have many others nearer to it. ``effort`` is how many the graph's search keeps in mind
    (efSearch). ``make_graph`` gives an empty one for so many dimensions.
    """

    exact: ExactSettings = field(default_factory=lambda: ExactSettings(storage="float16"))
    graph_from: int = 100_000
    directions: int = 95
    looked_at: int = 128
    entered: int = 320
    make_graph: Callable[[int], NearVectors] = NearRows
    effort: int = 320


class ApproximateIndex(ExactIndex):
    """A ``NeighbourIndex`` with the semantics of the exact one, but that pairs may be overlooked.

    A new product enters the lists of those that are near to it, as the graph has it, where its exact score passes
    their last. So a list may lack products, and all scores are exact. ``recall`` says how much it lacks: for one
    of many searches, the exact answer is found too.
    """

    def __init__(self, dimensions: int, settings: ApproximateSettings | None = None) -> None:
        self._approximate = settings or ApproximateSettings()
        super().__init__(dimensions, self._approximate.exact)
        self._graph: NearVectors | None = None
        self._directions: Matrix = np.empty((dimensions, 0), np.float32)
        self._searches = 0
        self._checked = 0.0
        self._found = 0.0

    @property
    def uses_graph(self) -> bool:
        """True from ``graph_from`` products on."""
        return self._graph is not None

    @property
    def recall(self) -> float:
        """Share of the exact lists' products that searches found lately; 1 before any was checked."""
        return self._found / self._checked if self._checked else 1.0

    def _remove(self, ids: Sequence[str]) -> Ints:
        rows = super()._remove(ids)
        if self._graph is not None:
            self._graph.remove(rows)
        return rows

    def _write(self, vectors: Mapping[str, Vector], penalties: Mapping[str, float]) -> None:
        super()._write(vectors, penalties)
        if self._graph is not None:
            self._link(np.array([self._vectors.row_of[product_id] for product_id in vectors], np.int64))
        elif len(self) >= self._approximate.graph_from:
            self._begin_graph()

    def _learn_sketch(self) -> None:
        if len(self) < self._approximate.graph_from:
            super()._learn_sketch()

    def _begin_graph(self) -> None:
        rows = np.fromiter(self._vectors.row_of.values(), np.int64, len(self))
        sample = self._vectors.gather(rows[:: max(1, len(rows) // _SAMPLE_ROWS)])
        self._directions = directions_of(sample, self._approximate.directions)
        self._graph = self._approximate.make_graph(self._directions.shape[1] + 1)
        self._vectors.save_memory()
        for at in range(0, len(rows), _LOAD_ROWS):
            self._link(rows[at : at + _LOAD_ROWS])

    def _link(self, rows: Ints) -> None:
        assert self._graph is not None
        along = self._vectors.gather(rows) @ self._directions
        self._graph.write(rows, np.column_stack([along, -self._vectors.penalties[rows]]).astype(np.float32))

    def _pairs(self, task: Scan) -> Pairs:
        if self._graph is None:
            return super()._pairs(task)
        queries = np.column_stack([task.queries @ self._directions, np.ones(len(task.queries))])
        wanted = max(self._approximate.looked_at, task.count + 1)
        limited = not task.traits.rules.none
        if limited:
            wanted *= _WIDER
        entered = max(wanted, self._approximate.entered) if task.entering else wanted
        near = self._graph.near(queries.astype(np.float32), entered, self._approximate.effort)
        near[near == task.rows[:, None]] = -1
        numbers = np.broadcast_to(np.arange(len(near))[:, None], near.shape)
        there = near >= 0
        outside = task.traits.outside(task.rows, near)
        if outside is not None:
            there &= ~outside
        search = there & task.candidates[near]
        search[: task.searching], search[:, wanted:] = False, False
        enter = np.zeros_like(there)
        if task.entering:  # a list that is being searched has no cut yet, and finds for itself what enters it
            enter[: task.entering] = there[: task.entering] & (task.floors[near[: task.entering]] < np.inf)
        pairs = Pairs(numbers[enter], near[enter], numbers[search], near[search])
        self._check(task, pairs)
        return pairs

    def _check(self, task: Scan, pairs: Pairs) -> None:
        """Every so many searches of products, find the exact answer of one too."""
        searching = np.arange(task.searching, len(task.queries))[task.rows[task.searching :] >= 0]
        before, self._searches = self._searches, self._searches + len(searching)
        every = max(_OFTENEST, len(self) // _ROWS_EACH)
        if before // every == self._searches // every:
            return
        number = int(searching[0])
        exactly = task.alone(number)
        there = self._candidates.copy()
        there[task.rows[number]] = False
        outside = task.traits.outside(exactly.rows, slice(0, len(there)))
        if outside is not None:
            there &= ~outside[0]
        right = set(_best(exactly, np.flatnonzero(there), self._shown))
        mine = set(_best(exactly, pairs.near_rows[pairs.near_queries == number], self._shown))
        if right:
            self._checked = _FORGET * self._checked + len(right)
            self._found = _FORGET * self._found + len(right & mine)


def _best(task: Scan, rows: Ints, count: int) -> list[int]:
    scores = task.scores(np.zeros(len(rows), np.int64), rows)
    if len(rows) > count:
        nearest = np.argpartition(-scores, count)[:count]
        rows = rows[nearest]
    best: list[int] = rows.tolist()
    return best
