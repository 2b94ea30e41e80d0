"""Scorers: each says of some products how well they suit a query, and because of which product."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from recsys.scoring.neighbour_tables import NeighbourRows, Neighbours
from recsys.scoring.query import Numbers, Queries
from recsys.scoring.slots import Floats, ProductSlots, Slots


class Scored(NamedTuple):
    """What speaks for which products, in which query. A product may be there several times: its scores add up.

    ``owners`` are the numbers of the queries, ascending; ``because`` holds positions in the columns of the
    queries, -1 where there is none. No score is below zero, and zero is nothing.
    """

    owners: Numbers
    slots: Slots
    scores: Floats
    because: Numbers


NOTHING = Scored(np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0), np.empty(0, np.int64))


class Scorer(Protocol):
    """One way to recommend. Scoring reads and never changes what is known; a batch equals one by one."""

    name: str
    """As it stands in settings and metrics."""
    reason: str
    """One of ``schemas.events.Reason``; a scorer that looks at what was bought says so per product."""

    def score(self, queries: Queries) -> Scored:
        """Scores of the products that the scorer knows for each query; ``NOTHING`` where it knows none."""
        ...


class NeighbourScorer:
    """The neighbours of what a shopper did of late, each by the weight of the product that they are near to."""

    def __init__(self, name: str, reason: str, slots: ProductSlots, neighbours: NeighbourRows) -> None:
        self.name = name
        self.reason = reason
        self._slots = slots
        self._neighbours = neighbours

    def score(self, queries: Queries) -> Scored:
        """The neighbours of all of the queries' products, the latest of each first."""
        counts, slots, scores = self._neighbours.of(queries.numbers(self._slots))
        because = np.repeat(np.arange(len(counts)), counts)
        scores *= queries.weights[because]
        return Scored(queries.owners[because], slots, scores, because)


class ListScorer:
    """The same for everybody: a published list, such as what is popular, by rank."""

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        self.reason = reason
        self._listed: Neighbours | None = None

    def put(self, neighbours: Neighbours | None) -> None:
        """The list as it is now."""
        self._listed = neighbours

    def score(self, queries: Queries) -> Scored:
        """The list, whatever the queries."""
        if self._listed is None:
            return NOTHING
        slots, scores = self._listed
        number = len(queries)
        owners = np.repeat(np.arange(number), len(slots))
        return Scored(owners, np.tile(slots, number), np.tile(scores, number), np.full(len(owners), -1))
