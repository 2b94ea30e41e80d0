"""VMIS-kNN over many sessions at once: what was visited in the sessions most like those that are asked about.

Source: Kersbergen, Sprangers, Schelter, "Serenade: Low-Latency Session-Based Recommendation in e-Commerce at
Scale", SIGMOD 2022. Here the similarity is also divided by the square root of how many items a neighbour has, so
that long sessions are not everybody's neighbours.

    sim(q, s)      = Σ 1 / r over the items that they share / √(items of s), r the item's rank in q, 1 the latest
    score(q, item) = Σ sim(q, s) / r of the latest item shared × ln(sessions / sessions with the item)

over the k sessions of greatest sim; of equals the more recent. For each item of q its m most recent sessions are
looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recsys.sessions.index import Numbers, SessionIndex
from recsys.sessions.ragged_rows import Integers, runs
from schemas.errors import ConfigurationError

Floats = NDArray[np.float64]

MAX_RANKS = 40
"""Items of a query at most: what a neighbour shares with it is a number with so many bits."""

_TABLE_BITS = 10
_STEP = 2.0**-40
"""Sums of multiples of it are exact, so they do not depend on the order of the neighbours."""


@dataclass(frozen=True, slots=True)
class VmisRules:
    """How far a query reaches."""

    recent_sessions: int = 500
    """Sessions of an item, the most recent."""
    neighbours: int = 100
    """Sessions that speak."""
    max_items: int = 20
    """Items of the query, the latest."""

    def __post_init__(self) -> None:
        if not 1 <= self.max_items <= MAX_RANKS:
            raise ConfigurationError(f"max_items is {self.max_items}; give 1 to {MAX_RANKS}")


class SessionQueries(NamedTuple):
    """Items, query after query, each query's latest first and none twice; -1 for one that nobody visited."""

    counts: Integers
    """Items by query."""
    items: Numbers
    own: Integers
    """The number of the session that asks, which does not speak for itself; -1 where there is none."""


class SessionScores(NamedTuple):
    """Scores above zero, query after query; each item once a query."""

    counts: Integers
    items: Numbers
    scores: Floats


class Vmis:
    """Asks an index; asking changes nothing."""

    def __init__(self, index: SessionIndex, rules: VmisRules | None = None) -> None:
        self._index = index
        self._rules = rules or VmisRules()
        self._weights = _rank_sums(self._rules.max_items)

    def scores(self, queries: SessionQueries) -> SessionScores:
        """Scores of the items of each query's neighbours; the query's own items are among them."""
        shared = self._shared(queries)
        sims = self._similarities(shared)
        nearest, bounds = _nearest(shared.indptr, sims, self._recency(shared.indices), self._rules.neighbours)
        sessions: Integers = np.asarray(shared.indices, np.int64)[nearest]
        weights = np.rint(sims[nearest] / self._first_ranks(shared.data[nearest]) / _STEP) * _STEP
        visits = self._index.visits
        places, counts = visits.places(sessions)
        items, width = visits.columns[0][places], len(self._index.sessions_of)
        neighbours = _matrix(np.ones(len(items)), items, _bounds(counts), width)
        speaking = _matrix(weights, np.arange(len(sessions), dtype=np.int32), bounds, len(sessions))
        found = speaking @ neighbours
        scores = found.data * self._idf(found.indices)
        kept = scores > 0.0
        counts = np.diff(np.append(0, np.cumsum(kept))[found.indptr])
        return SessionScores(counts, found.indices[kept], scores[kept])

    def _shared(self, queries: SessionQueries) -> sp.csr_array:
        """Queries × sessions: which items they share, as a sum of 2 to the power of (max_items - rank)."""
        counts = np.minimum(queries.counts, self._rules.max_items)
        begins = np.cumsum(queries.counts) - queries.counts
        places = runs(begins, counts)
        ranks = runs(np.zeros(len(counts), np.int64), counts)
        items: Integers = np.asarray(queries.items[places], np.int64)
        owners = np.repeat(np.arange(len(counts)), counts)
        known = (items >= 0) & (items < len(self._index.sessions_of))
        items, ranks, owners = items[known], ranks[known], owners[known]
        found, lengths = self._index.sessions_of.places(items, self._rules.recent_sessions)
        sessions = self._index.sessions_of.columns[1][found]
        rows = _matrix(np.ones(len(sessions)), sessions, _bounds(lengths), len(self._index.latest))
        bits = np.ldexp(1.0, self._rules.max_items - 1 - ranks)
        columns = np.arange(len(items), dtype=np.int32)
        asking = _matrix(bits, columns, _bounds(np.bincount(owners, minlength=len(counts))), len(items))
        shared = asking @ rows
        other = shared.indices != np.repeat(queries.own, np.diff(shared.indptr))
        indptr = np.append(0, np.cumsum(other))[shared.indptr]
        return _matrix(shared.data[other], shared.indices[other], indptr, shared.shape[1])

    def _similarities(self, shared: sp.csr_array) -> Floats:
        bits = shared.data.astype(np.int64)
        sums = np.zeros(len(bits))
        for number, table in enumerate(self._weights):
            sums += table[bits >> number * _TABLE_BITS & (1 << _TABLE_BITS) - 1]
        return sums / np.sqrt(self._index.visits.lengths[shared.indices])

    def _first_ranks(self, bits: Floats) -> Floats:
        """Rank of the latest item shared: that of the highest bit."""
        return self._rules.max_items - (np.frexp(bits)[1] - 1.0)

    def _recency(self, sessions: Numbers) -> Integers:
        return self._index.latest[sessions]

    def _idf(self, items: Numbers) -> Floats:
        having = self._index.sessions_of.lengths[items]
        return np.log(len(self._index) / having)


def _nearest(indptr: Numbers, sims: Floats, recency: Integers, most: int) -> tuple[Integers, Integers]:
    """Places of each row's ``most`` of greatest similarity, of equals the more recent; and the rows' bounds."""
    kept = np.ones(len(sims), bool)
    for row in np.flatnonzero(np.diff(indptr) > most).tolist():
        part = slice(indptr[row], indptr[row + 1])
        own = sims[part]
        least = np.partition(own, len(own) - most)[len(own) - most]
        chosen = own > least
        equal = np.flatnonzero(own == least)
        left = most - int(chosen.sum())
        if left < len(equal):
            equal = equal[np.argpartition(recency[part][equal], len(equal) - left)[len(equal) - left :]]
        chosen[equal] = True
        kept[part] = chosen
    return np.flatnonzero(kept), np.append(0, np.cumsum(kept))[indptr]


def _rank_sums(max_items: int) -> list[Floats]:
    """For each group of bits, from the lowest, what the ranks that its bits stand for add to a similarity."""
    tables = []
    for low in range(0, max_items, _TABLE_BITS):
        bits = np.arange(1 << _TABLE_BITS)
        sums = np.zeros(len(bits))
        for bit in range(low, min(low + _TABLE_BITS, max_items)):
            sums += (bits >> bit - low & 1) / (max_items - bit)
        tables.append(sums)
    return tables


def _bounds(counts: Integers) -> Integers:
    return np.append(0, np.cumsum(counts))


def _matrix(data: Floats, indices: Numbers, indptr: Integers, width: int) -> sp.csr_array:
    """Rows of a sparse matrix, of ``width`` columns."""
    indptr = indptr.astype(np.int32)
    return sp.csr_array((data, indices, indptr), shape=(len(indptr) - 1, width))
