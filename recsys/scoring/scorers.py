"""Scorers: each says of some products how well they suit a query, and because of which product."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np

from recsys.scoring.neighbour_tables import Neighbours
from recsys.scoring.query import Query
from recsys.scoring.slots import Floats, ProductSlots, Slots


class Scored(NamedTuple):
    """Products, each once, with scores above zero and the latest product that speaks for each.

    ``because`` holds places in the query's ``recent``; -1 where there is none.
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
    """Adds up the neighbours of what a shopper did of late, each by the weight of the product they are near to."""

    def __init__(
        self, name: str, reason: str, slots: ProductSlots, neighbours: Callable[[str], Neighbours]
    ) -> None:
        self.name = name
        self.reason = reason
        self._slots = slots
        self._neighbours = neighbours

    def score(self, query: Query) -> Scored:
        """Weighted sums over the query's recent products."""
        found = [self._neighbours(recent.product_id) for recent in query.recent]
        parts = [(place, near) for place, near in enumerate(found) if len(near.slots)]
        if not parts:
            return NOTHING
        slots = np.concatenate([near.slots for _, near in parts])
        lengths = [len(near.slots) for _, near in parts]
        weights = np.repeat([query.recent[place].weight for place, _ in parts], lengths)
        scores = np.concatenate([near.scores for _, near in parts]) * weights
        each, totals, firsts = self._slots.sum_up(slots, scores)
        places = np.repeat(np.array([place for place, _ in parts], np.int32), lengths)
        return Scored(each, totals, places[firsts])


class ListScorer:
    """The same for everybody: a published list, such as what is popular, by rank."""

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        self.reason = reason
        self._listed = NOTHING

    def put(self, neighbours: Neighbours | None) -> None:
        """The list as it is now."""
        if neighbours is None or not len(neighbours.slots):
            self._listed = NOTHING
        else:
            self._listed = Scored(*neighbours, np.full(len(neighbours.slots), -1, np.int32))

    def score(self, query: Query) -> Scored:
        """The list, whatever the query."""
        return self._listed
