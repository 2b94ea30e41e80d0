"""Scorers: each says of some products how well they suit a query, and because of which product."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np

from recsys.scoring.neighbour_tables import Neighbours
from recsys.scoring.query import Query
from recsys.scoring.slots import Floats, Slots


class Scored(NamedTuple):
    """What speaks for which products. A product may be there several times: its scores add up; zero is nothing.

    ``because`` holds places among the query's products; -1 where there is none.
    """

    slots: Slots
    scores: Floats
    because: Slots


NOTHING = Scored(np.empty(0, np.int32), np.empty(0), np.empty(0, np.int32))


class Scorer(Protocol):
    """One way to recommend. Scoring reads and never changes what is known."""

    name: str
    """As it stands in settings and metrics."""
    reason: str
    """One of ``schemas.events.Reason``; a scorer that looks at what was bought says so per product."""

    def score(self, query: Query) -> Scored:
        """Scores of the products that the scorer knows for this query; ``NOTHING`` where it knows none."""
        ...


class NeighbourScorer:
    """The neighbours of what a shopper did of late, each by the weight of the product that they are near to."""

    def __init__(self, name: str, reason: str, neighbours: Mapping[str, Neighbours | None]) -> None:
        self.name = name
        self.reason = reason
        self._neighbours = neighbours

    def score(self, query: Query) -> Scored:
        """The neighbours of all of the query's products, the latest first."""
        neighbours = self._neighbours
        found = [neighbours[product_id] for product_id in query.product_ids]
        rows = [near for near in found if near is not None]
        if not rows:
            return NOTHING
        lengths = [0 if near is None else len(near.slots) for near in found]
        because = np.repeat(np.arange(len(found), dtype=np.int32), lengths)
        scores = np.concatenate([near.scores for near in rows])
        scores *= query.weights[because]
        return Scored(np.concatenate([near.slots for near in rows]), scores, because)


class ListScorer:
    """The same for everybody: a published list, such as what is popular, by rank."""

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        self.reason = reason
        self._listed = NOTHING

    def put(self, neighbours: Neighbours | None) -> None:
        """The list as it is now."""
        if neighbours is None:
            self._listed = NOTHING
        else:
            self._listed = Scored(*neighbours, np.full(len(neighbours.slots), -1, np.int32))

    def score(self, query: Query) -> Scored:
        """The list, whatever the query."""
        return self._listed
