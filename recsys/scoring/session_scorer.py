"""What shoppers like this one visited: VMIS-kNN over everybody's recent sessions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from recsys.scoring.query import Queries
from recsys.scoring.scorers import NOTHING, Scored
from recsys.scoring.slots import ProductSlots
from recsys.sessions.index import SessionIndex, SessionRules
from recsys.sessions.of_histories import sessions_of
from recsys.sessions.vmis import SessionQueries, Vmis, VmisRules
from schemas.events import Reason, UserHistory


class SessionScorer:
    """Follows the histories of all shoppers; a shopper's own does not speak for itself."""

    name = "sessions"
    reason = Reason.SHOPPERS_LIKE_YOU

    def __init__(self, slots: ProductSlots, rules: VmisRules, session_rules: SessionRules) -> None:
        self._slots = slots
        self._index = SessionIndex(session_rules)
        self._vmis = Vmis(self._index, rules)

    @property
    def nbytes(self) -> int:
        """Bytes that the index takes, and those that it is asked with."""
        return self._index.nbytes + self._vmis.nbytes

    def put(self, histories: Mapping[str, UserHistory | None]) -> None:
        """Take histories as they are now, None for one that is no more."""
        self._index.put(sessions_of(histories, self._slots.assign))

    def score(self, queries: Queries) -> Scored:
        """What the nearest sessions visited, the shopper's own products among it."""
        if not len(self._index):
            return NOTHING
        counts = np.bincount(queries.owners, minlength=len(queries))
        own = self._index.find(queries.subjects)
        found = self._vmis.scores(SessionQueries(counts, queries.numbers(self._slots), own))
        owners = np.repeat(np.arange(len(queries)), found.counts)
        return Scored(owners, found.items, found.scores, np.full(len(owners), -1))
