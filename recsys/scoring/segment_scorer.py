"""What is popular with the users of a shopper's segment."""

from __future__ import annotations

import numpy as np

from recsys.scoring.neighbour_tables import Neighbours
from recsys.scoring.query import Queries
from recsys.scoring.scorers import NOTHING, Scored
from schemas.events import Reason


class SegmentScorer:
    """Follows what is popular in each segment."""

    name = "segment"
    reason = Reason.POPULAR_IN_SEGMENT

    def __init__(self) -> None:
        self._listed: dict[str, Neighbours] = {}

    def __contains__(self, segment: str) -> bool:
        return segment in self._listed

    def put(self, segment: str, neighbours: Neighbours | None) -> None:
        """A segment's list as it is now; None where it has none any more."""
        if neighbours is None:
            self._listed.pop(segment, None)
        else:
            self._listed[segment] = neighbours

    def score(self, queries: Queries) -> Scored:
        """The list of each query's segment, by rank."""
        if not self._listed:
            return NOTHING
        found = [
            (n, self._listed[segment]) for n, segment in enumerate(queries.segments) if segment in self._listed
        ]
        if not found:
            return NOTHING
        owners = np.repeat([number for number, _ in found], [len(near.slots) for _, near in found])
        slots, scores = (np.concatenate(columns) for columns in zip(*(near for _, near in found), strict=True))
        return Scored(owners, slots, scores, np.full(len(owners), -1))
