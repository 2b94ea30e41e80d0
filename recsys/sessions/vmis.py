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

from recsys.sessions.exchanging import Numbers
from recsys.sessions.index import SessionIndex
from recsys.sessions.ragged_rows import Integers
from recsys.sessions.speaking import Floats, Limits, Tables, speaking

_LOGS = 4_096


@dataclass(frozen=True, slots=True)
class VmisRules:
    """How far a query reaches."""

    recent_sessions: int = 250
    """Sessions of an item, the most recent."""
    neighbours: int = 100
    """Sessions that speak."""
    max_items: int = 20
    """Items of the query, the latest."""


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
        rules = rules or VmisRules()
        self._limits = Limits(rules.recent_sessions, rules.neighbours, rules.max_items)
        with np.errstate(divide="ignore"):
            logs = np.log(np.arange(_LOGS, dtype=np.float64))
        self._tables = Tables(np.zeros(0, np.int32), np.zeros(0), logs)

    @property
    def nbytes(self) -> int:
        """Bytes that is worked in."""
        return sum(table.nbytes for table in self._tables)

    def scores(self, queries: SessionQueries) -> SessionScores:
        """Scores of the items of each query's neighbours; the query's own items are among them."""
        index = self._index
        self._grow(len(index.latest_s), index.items)
        asked = queries.counts, queries.items, queries.own
        how = len(index), self._limits, self._tables
        return SessionScores(*speaking(index.visit_rows, index.item_rows, index.latest_s, asked, how))

    def _grow(self, sessions: int, items: int) -> None:
        places, scores, logs = self._tables
        if len(places) < sessions:
            places = np.zeros(sessions, np.int32)
        if len(scores) < items:
            scores = np.zeros(items)
        self._tables = Tables(places, scores, logs)
