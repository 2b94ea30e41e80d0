"""Exact neighbours: blocked matrix products in float32 to find what matters, exact scores to decide it.

A float32 matrix product rounds differently with the shape of the batch, and a sketch gives no more than a bound.
They only rule out: every pair that may pass a threshold is scored without rounding, and that alone orders lists.
So lists are the same, bit for bit, however changes were batched, and equal a computation from nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from recsys.neighbours.duplicates import Duplicates, without_near_duplicates
from recsys.neighbours.index import Changes, Neighbour, Vector
from recsys.neighbours.lists import Found, Mask, NeighbourLists
from recsys.neighbours.pairing import PairRules, RowTraits
from recsys.neighbours.ragged import Ints, Scores, best_first, positions_in_group
from recsys.neighbours.scan import Float32s, Pairs, Scan, scan
from recsys.neighbours.vectors import VectorRows, squared_lengths

_LOWEST = np.finfo(np.float32).min
_SAMPLE_ROWS = 4_096
_LEARN_AGAIN = 8
"""Times as many products as when the sketch was last learnt."""


@dataclass(frozen=True, slots=True)
class ExactSettings:
    """``list_length`` products are shown; ``margin`` more are kept, so that one that leaves needs no new search.

    ``storage`` float16 takes half the memory and float32 a conversion less with each pass over the vectors.
    A pass multiplies ``batch_queries`` queries with ``block_rows`` rows at once. From ``sketch_from`` products on,
    it multiplies sketches, where a sketch says enough; that costs about a second now and then, to learn it.
    """

    list_length: int = 20
    margin: int = 8
    storage: Literal["float16", "float32"] = "float32"
    batch_queries: int = 256
    block_rows: int = 8192
    sketch_from: int = 8_192
    near_duplicate: float = 2.0
    """Cosine from which two products are the same photograph: neither stands in the other's list, and of several
    the best alone stands in a list. More than 1: none are."""
    rules: PairRules = field(default_factory=PairRules)
    """Which products a list may hold."""
    spare: int = 0
    """Products looked at beyond ``list_length``, to stand where near-duplicates would."""

    @property
    def looked_at(self) -> int:
        """Products that a list is made of."""
        return self.list_length + self.spare

    @property
    def same_photographs(self) -> int:
        """Products with the very same vector that may stand in lists; one where duplicates are collapsed."""
        return self.list_length + 1 if self.near_duplicate > 1 else 1


class ExactIndex:
    """A ``NeighbourIndex`` that compares with every product.

    Memory: for each product ``dimensions`` x 2 or 4 bytes and about 12 bytes an entry of its list and of the list
    as last taken; a pass adds what ``scan`` says. Arrays double, so up to twice that.
    """

    def __init__(self, dimensions: int, settings: ExactSettings | None = None) -> None:
        self._settings = settings or ExactSettings()
        dtype = np.float32 if self._settings.storage == "float32" else np.float16
        self._vectors = VectorRows(dimensions, dtype)
        capacity = self._vectors.capacity
        self._lists = NeighbourLists(self._settings.looked_at, self._settings.margin, capacity)
        self._taken = NeighbourLists(self._settings.list_length, 0, capacity)
        self._listable: Mask = np.zeros(capacity, np.bool_)
        self._hidden: Mask = np.zeros(capacity, np.bool_)
        self._candidates: Mask = np.zeros(capacity, np.bool_)
        """Listable and not hidden: what can stand in a list."""
        self._duplicates = Duplicates(self._settings.same_photographs)
        self._traits = RowTraits(self._settings.rules, capacity)
        self._touched: list[Ints] = []
        self._learn_at = self._settings.sketch_from

    @property
    def _shown(self) -> int:
        return self._settings.list_length

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return self._vectors.dimensions

    def __len__(self) -> int:
        return len(self._vectors.row_of)

    def __contains__(self, product_id: str) -> bool:
        return product_id in self._vectors.row_of

    def apply(self, changes: Changes) -> None:
        """Take a batch of changes, and bring every list up to date; see ``NeighbourIndex``."""
        row_of = self._vectors.row_of
        removed = [product_id for product_id in changes.removed if product_id in row_of]
        penalties = changes.penalties
        written = {
            p: vector
            for p, vector in changes.vectors.items()
            if not self._vectors.same(p, vector, penalties.get(p, 0.0))
        }
        known = {p for p in written if p in row_of}
        gone = self._remove(removed)
        new = self._allocate([p for p in written if p not in known])
        regrouped = self._traits.put(changes.traits, row_of)
        moved = np.array(sorted({row_of[p] for p in known} | regrouped - set(new.tolist())), np.int64)
        self._write(written, penalties)
        for row in regrouped - {row_of[p] for p in written}:
            self._duplicates.regroup(row, self._traits.key(row))
        self._set_listable(changes)
        searching = np.concatenate([moved, new])
        changed = np.zeros(self._vectors.capacity, np.bool_)
        changed[np.concatenate([searching, gone])] = True
        before = self._update_candidates()
        refilled = self._leave(before & (changed | ~self._candidates), searching)
        entering = np.flatnonzero(self._candidates & (changed | ~before))
        self._search(entering, np.concatenate([searching, refilled]))

    def take_changed(self) -> list[str]:
        """Products whose list differs from what it was the last time; see ``NeighbourIndex``."""
        touched = np.unique(np.concatenate([np.empty(0, np.int64), *self._touched]))
        products, scores = self._shown_lists(touched)
        differ = (products != self._taken.products[touched]) | (scores != self._taken.scores[touched])
        self._taken.products[touched], self._taken.scores[touched] = products, scores
        self._touched.clear()
        self._taken.clear(np.array(self._vectors.release(), np.int64))
        ids = self._vectors.ids
        return [an_id for row in touched[differ.any(axis=1)].tolist() if (an_id := ids[row]) is not None]

    def neighbours(self, product_id: str) -> list[Neighbour]:
        """The product's list; see ``NeighbourIndex``."""
        row = self._vectors.row_of.get(product_id)
        if row is None:
            return []
        if self._touched:
            products, scores = (part[0] for part in self._shown_lists(np.array([row])))
        else:  # as it was taken, so as it is
            products, scores = self._taken.products[row], self._taken.scores[row]
        there = products >= 0
        return self._named(products[there], scores[there])

    @property
    def recall(self) -> float:
        """1: every search is exact."""
        return 1.0

    def in_degrees(self) -> Ints:
        """In how many lists each product stands, in no order."""
        rows = np.fromiter(self._vectors.row_of.values(), np.int64, len(self))
        listed = self._shown_lists(rows)[0]
        counts: Ints = np.bincount(listed[listed >= 0], minlength=self._vectors.capacity)[rows]
        return counts

    def search(self, vectors: Sequence[Vector], count: int) -> list[list[Neighbour]]:
        """The nearest listable products of vectors; see ``NeighbourIndex``."""
        found: list[list[Neighbour]] = []
        for at in range(0, len(vectors), self._settings.batch_queries):
            found += self._search_vectors(np.stack(vectors[at : at + self._settings.batch_queries]), count)
        return found

    def _shown_lists(self, rows: Ints) -> tuple[NDArray[np.int32], Scores]:
        """Products and scores (n, list_length) as readers have them, -1 and -inf where there is none."""
        looked_at = self._settings.looked_at
        products, scores = self._lists.products[rows, :looked_at], self._lists.scores[rows, :looked_at]
        if self._settings.near_duplicate <= 1:
            products, scores = without_near_duplicates(products, scores, self._twins, rows, self._settings.spare)
        return products[:, : self._shown], scores[:, : self._shown]

    def _twins(self, rows: Ints) -> NDArray[np.int32]:
        """For each row, the products of its list that show the same, -1 in between."""
        looked_at = self._settings.looked_at
        products = self._lists.products[rows, :looked_at]
        cosines = self._lists.scores[rows, :looked_at] + self._vectors.penalties[products]
        return np.where((products >= 0) & (cosines >= self._settings.near_duplicate), products, -1)

    def _remove(self, ids: Sequence[str]) -> Ints:
        rows = np.array(self._vectors.remove(ids), np.int64)
        self._lists.clear(rows)
        self._listable[rows] = False
        for row in rows.tolist():
            self._duplicates.discard(row)
        return rows

    def _allocate(self, ids: Sequence[str]) -> Ints:
        relabelling = self._vectors.allocate(ids)
        if relabelling is not None:
            self._lists.relabel(relabelling)
        capacity = self._vectors.capacity
        self._lists.grow(capacity)
        self._taken.grow(capacity)
        more = np.zeros(capacity - len(self._listable), np.bool_)
        self._listable, self._hidden, self._candidates = (
            np.append(mask, more) for mask in (self._listable, self._hidden, self._candidates)
        )
        self._traits.grow(capacity)
        rows = np.array([self._vectors.row_of[product_id] for product_id in ids], np.int64)
        self._listable[rows] = True
        self._traits.clear(rows)
        return rows

    def _write(self, vectors: Mapping[str, Vector], penalties: Mapping[str, float]) -> None:
        if vectors:
            self._vectors.write(vectors, penalties)
        if len(self) >= self._learn_at:
            self._learn_sketch()
            self._learn_at = _LEARN_AGAIN * len(self)
        for product_id, vector in vectors.items():
            row = self._vectors.row_of[product_id]
            self._duplicates.put(row, vector, penalties.get(product_id, 0.0), self._traits.key(row))

    def _learn_sketch(self) -> None:
        self._vectors.learn(_SAMPLE_ROWS)

    def _set_listable(self, changes: Changes) -> None:
        for product_id, listable in changes.listable.items():
            row = self._vectors.row_of.get(product_id)
            if row is not None and self._listable[row] != listable:
                self._listable[row] = listable
                self._duplicates.touch(row)

    def _update_candidates(self) -> Mask:
        """Returns the earlier ones."""
        before = self._candidates
        self._duplicates.update(self._hidden, self._listable, self._vectors.labels)
        self._candidates = self._listable & ~self._hidden
        return before

    def _leave(self, leaving: Mask, searching: Ints) -> Ints:
        """Take products out of the lists; returns the rows, other than ``searching``, to be searched again."""
        self._lists.clear(searching)
        if not leaving.any():
            return np.empty(0, np.int64)
        touched = self._lists.drop(leaving)
        self._touched.append(touched)
        return self._lists.too_short(touched)

    def _search(self, entering: Ints, searching: Ints) -> None:
        """Fill the lists of ``searching``, and let ``entering`` into the others."""
        self._touched.append(searching)
        self._lists.clear(searching)
        floors = np.maximum(self._lists.cut_scores - self._vectors.slack(), _LOWEST).astype(np.float32)
        only_entering = np.setdiff1d(entering, searching)
        both = np.intersect1d(entering, searching)
        queries = np.concatenate([only_entering, both, np.setdiff1d(searching, entering)])
        enter_until, search_from = len(entering), len(only_entering)
        for at in range(0, len(queries), self._settings.batch_queries):
            rows = queries[at : at + self._settings.batch_queries]
            self._search_batch(rows, max(0, enter_until - at), max(0, search_from - at), floors)

    def _search_batch(self, rows: Ints, entering: int, searching: int, floors: Float32s) -> None:
        entering, searching = min(entering, len(rows)), min(searching, len(rows))
        task = Scan(
            self._vectors.gather(rows),
            rows,
            entering,
            searching,
            self._lists.length_limit,
            floors,
            self._candidates,
            lambda queries, found: self._vectors.cosines(rows[queries], found) - self._vectors.penalties[found],
            self._vectors.slack(),
            self._vectors.penalties[rows].astype(np.float32),
            self._vectors.penalties.astype(np.float32),
            self._traits,
        )
        pairs = self._pairs(task)
        enter, near = self._scores(rows, pairs)
        self._fill(rows[searching:], Found(rows[pairs.near_queries], pairs.near_rows, near))
        self._enter(Found(pairs.enter_rows, rows[pairs.enter_queries], enter))

    def _pairs(self, task: Scan) -> Pairs:
        """Which pairs to score."""
        return scan(self._vectors, task, self._settings.block_rows)

    def _scores(self, rows: Ints, pairs: Pairs) -> tuple[Scores, Scores]:
        """Exact scores of the pairs that enter and of those that are near; many are both."""
        queries = np.concatenate([pairs.enter_queries, pairs.near_queries])
        keys = queries * self._vectors.capacity + np.concatenate([pairs.enter_rows, pairs.near_rows])
        once, places = np.unique(keys, return_inverse=True)
        cosines = self._vectors.cosines(rows[once // self._vectors.capacity], once % self._vectors.capacity)[
            places
        ]
        entering = len(pairs.enter_rows)
        penalties = self._vectors.penalties
        enter = cosines[:entering] - penalties[rows[pairs.enter_queries]]
        return enter, cosines[entering:] - penalties[pairs.near_rows]

    def _fill(self, rows: Ints, found: Found) -> None:
        """Set the lists of ``rows`` from what was found for them."""
        self._lists.replace(rows, found, self._vectors.labels)

    def _enter(self, found: Found) -> None:
        order = np.argsort(found.rows, kind="stable")
        grouped = Found(found.rows[order], found.products[order], found.scores[order])
        self._touched.append(self._lists.merge(grouped, self._vectors.labels))

    def _search_vectors(self, vectors: Vector, count: int) -> list[list[Neighbour]]:
        def exact_scores(queries: Ints, found: Ints) -> Scores:
            return self._vectors.cosines_with(vectors, queries, found) - self._vectors.penalties[found]

        task = Scan(
            vectors.astype(np.float32),
            np.full(len(vectors), -1),
            0,
            0,
            count,
            np.empty(0, np.float32),
            self._listable,
            exact_scores,
            self._vectors.slack(float(np.abs(squared_lengths(vectors) - 1).max())),
            np.empty(0, np.float32),
            self._vectors.penalties.astype(np.float32),
            self._traits,
        )
        pairs = self._pairs(task)
        queries, rows = pairs.near_queries, pairs.near_rows
        nth = positions_in_group(queries)
        shape = (len(vectors), int(nth.max(initial=-1)) + 1)
        products, scores = np.zeros(shape, np.int64), np.full(shape, -np.inf)
        products[queries, nth] = rows
        scores[queries, nth] = exact_scores(queries, rows)
        order = best_first(scores, self._vectors.labels[products])[:, :count]
        products = np.take_along_axis(products, order, axis=1)
        scores = np.take_along_axis(scores, order, axis=1)
        found = zip(products, scores, strict=True)
        return [self._named(row[score > -np.inf], score[score > -np.inf]) for row, score in found]

    def _named(self, products: NDArray[np.integer], scores: Scores) -> list[Neighbour]:
        ids = map(self._vectors.ids.__getitem__, products.tolist())
        return list(map(Neighbour, ids, scores.tolist()))  # type: ignore[arg-type]  # listed rows have products
