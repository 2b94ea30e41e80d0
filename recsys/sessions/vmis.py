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
from numpy.typing import NDArray

from recsys.keys import KeyTable, sums_by_group
from recsys.sessions.index import Numbers, SessionIndex
from recsys.sessions.ragged_rows import Integers, runs
from schemas.errors import ConfigurationError

Floats = NDArray[np.float64]

MAX_RANKS = 40
"""Items of a query at most: what a neighbour shares with it is a number with so many bits."""

_TABLE_BITS = 10
_MAX_KEYS = 4_000_000
"""Sessions, or items, times queries at once at most, if there is more than one query; 8 bytes each."""
_STEP = 2.0**-40
"""Sums of multiples of it are exact, so they do not depend on the order of the neighbours."""


@dataclass(frozen=True, slots=True)
class VmisRules:
    """How far a query reaches."""

    recent_sessions: int = 250
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


class _Shared(NamedTuple):
    """Pairs of query and session, query after query, and which items they share."""

    owners: Integers
    sessions: Integers
    bits: Floats
    """A sum of 2 to the power of (max_items - rank)."""


class Vmis:
    """Asks an index; asking changes nothing."""

    def __init__(self, index: SessionIndex, rules: VmisRules | None = None) -> None:
        self._index = index
        self._rules = rules or VmisRules()
        self._weights = _rank_sums(self._rules.max_items)
        self._keys = KeyTable()

    def scores(self, queries: SessionQueries) -> SessionScores:
        """Scores of the items of each query's neighbours; the query's own items are among them."""
        most = max(1, _MAX_KEYS // max(1, len(self._index.latest), len(self._index.sessions_of)))
        if len(queries.counts) <= most:
            return self._scores(queries)
        bounds = np.append(0, np.cumsum(queries.counts))
        parts = []
        for start in range(0, len(queries.counts), most):
            own = slice(start, start + most)
            items = queries.items[bounds[start] : bounds[min(start + most, len(queries.counts))]]
            parts.append(self._scores(SessionQueries(queries.counts[own], items, queries.own[own])))
        counts, found, scores = zip(*parts, strict=True)
        return SessionScores(np.concatenate(counts), np.concatenate(found), np.concatenate(scores))

    def _scores(self, queries: SessionQueries) -> SessionScores:
        every = len(queries.counts)
        shared = self._shared(queries)
        sims = self._similarities(shared)
        recency = self._index.latest[shared.sessions]
        nearest = _nearest(shared.owners, sims, recency, self._rules.neighbours)
        # The latest item shared is that of the highest bit.
        ranks = self._rules.max_items + 1.0 - np.frexp(shared.bits[nearest])[1]
        weights = np.rint(sims[nearest] / ranks / _STEP) * _STEP
        places, counts = self._index.visits.places(shared.sessions[nearest])
        width = len(self._index.sessions_of)
        keys = np.repeat(shared.owners[nearest] * width, counts) + self._index.visits.columns[0][places]
        each, numbers = self._keys.number(keys)
        owners, items = np.divmod(each, max(1, width))
        idf = np.log(len(self._index) / self._index.sessions_of.lengths[items])
        scores = sums_by_group(numbers, np.repeat(weights, counts), len(each)) * idf
        kept = (scores > 0.0).nonzero()[0]
        kept = kept[np.argsort(owners[kept], kind="stable")]
        found: Numbers = items[kept].astype(np.int32)
        return SessionScores(np.bincount(owners[kept], minlength=every), found, scores[kept])

    def _shared(self, queries: SessionQueries) -> _Shared:
        """Of each query, the sessions that share an item with it."""
        counts = np.minimum(queries.counts, self._rules.max_items)
        places = runs(np.cumsum(queries.counts) - queries.counts, counts)
        ranks = runs(np.zeros(len(counts), np.int64), counts)
        items: Integers = np.asarray(queries.items[places], np.int64)
        owners = np.repeat(np.arange(len(counts)), counts)
        known = (items >= 0) & (items < len(self._index.sessions_of))
        found, lengths = self._index.sessions_of.places(items[known], self._rules.recent_sessions)
        width = len(self._index.latest)
        keys = np.repeat(owners[known] * width, lengths) + self._index.sessions_of.columns[1][found]
        bits = np.repeat(np.ldexp(1.0, self._rules.max_items - 1 - ranks[known]), lengths)
        each, numbers = self._keys.number(keys)
        sums = sums_by_group(numbers, bits, len(each))
        pairs = np.divmod(each, max(1, width))
        other = (pairs[1] != queries.own[pairs[0]]).nonzero()[0]
        other = other[np.argsort(pairs[0][other], kind="stable")]
        return _Shared(pairs[0][other], pairs[1][other], sums[other])

    def _similarities(self, shared: _Shared) -> Floats:
        bits = shared.bits.astype(np.int64)
        sums = np.zeros(len(bits))
        for number, table in enumerate(self._weights):
            sums += table[bits >> number * _TABLE_BITS & (1 << _TABLE_BITS) - 1]
        return sums / np.sqrt(self._index.visits.lengths[shared.sessions])


def _nearest(owners: Integers, sims: Floats, recency: Integers, most: int) -> Integers:
    """Places of each owner's ``most`` of greatest similarity, of equals the more recent."""
    counts = np.bincount(owners)
    ends = np.cumsum(counts)
    kept = np.ones(len(sims), bool)
    for owner in (counts > most).nonzero()[0].tolist():
        part = slice(ends[owner] - counts[owner], ends[owner])
        own = sims[part]
        least = np.partition(own, len(own) - most)[len(own) - most]
        chosen = own >= least
        excess = int(chosen.sum()) - most
        if excess:
            equal = (own == least).nonzero()[0]
            chosen[equal[np.argpartition(recency[part][equal], excess - 1)[:excess]]] = False
        kept[part] = chosen
    return kept.nonzero()[0]


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
