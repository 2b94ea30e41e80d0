"""Mixes scorers into one list: what may be recommended, best first, each product with its reason."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate

import numpy as np

from recsys.scoring.query import Query, Recent
from recsys.scoring.scorers import Scored, Scorer
from recsys.scoring.slots import Floats, ProductSlots, Slots
from schemas.errors import ConfigurationError
from schemas.events import ListedProduct, Reason


class Blend:
    """A weighted sum of scorers, each of whose scores are first made to add up to one.

    So a scorer that is sure of few products speaks for them louder than one that spreads over many, and no
    scorer's unit of measure matters.
    """

    def __init__(self, slots: ProductSlots, scorers: Sequence[Scorer], weights: Mapping[str, float]) -> None:
        missing = [scorer.name for scorer in scorers if scorer.name not in weights]
        if missing:
            raise ConfigurationError(f"the blend has no weight for {', '.join(missing)}")
        self._slots = slots
        self._scorers = [scorer for scorer in scorers if weights[scorer.name] > 0.0]
        self._weights = weights

    def recommend(self, query: Query) -> list[ListedProduct]:
        """At most ``query.n`` products, best first; ties go to the smaller id."""
        parts = [(scorer, scored) for scorer in self._scorers if len((scored := scorer.score(query)).slots)]
        if not parts:
            return []
        said = Scored(
            np.concatenate([scored.slots for _, scored in parts]),
            np.concatenate([scored.scores * (self._weights[s.name] / scored.scores.sum()) for s, scored in parts]),
            np.concatenate([scored.because for _, scored in parts]),
        )
        slots, totals = self._slots.sum_up(said.slots, said.scores)
        best = self._best(slots, totals, query)
        ends = list(accumulate(len(scored.slots) for _, scored in parts))
        strongest = self._strongest(slots[best], said)
        ids = self._slots.ids
        return [
            _listed(
                ids[slot],
                total,
                parts[bisect_right(ends, entry)][0].reason,
                query.recent[place] if place >= 0 else None,
            )
            for slot, total, entry, place in zip(
                slots[best].tolist(),
                totals[best].tolist(),
                strongest.tolist(),
                said.because[strongest].tolist(),
                strict=True,
            )
        ]

    def _best(self, slots: Slots, totals: Floats, query: Query) -> list[int]:
        """Places of the best, best first."""
        totals *= self._slots.listable(slots, query.excluded)
        least = 0.0
        if len(slots) > query.n:
            least = float(np.partition(totals, len(slots) - query.n)[len(slots) - query.n])
        places = np.flatnonzero(totals >= least if least > 0.0 else totals > 0.0)
        ids = self._slots.ids
        found = zip((-totals[places]).tolist(), slots[places].tolist(), places.tolist(), strict=True)
        return [place for _, _, place in sorted((score, ids[slot], place) for score, slot, place in found)][
            : query.n
        ]

    def _strongest(self, slots: Slots, said: Scored) -> Slots:
        """Of everything that is said for each product, the place of what counts most; of equals the first."""
        found = self._slots.find(said.slots, slots)
        entries = np.flatnonzero(found >= 0)[::-1]
        entries = entries[np.argsort(said.scores[entries], kind="stable")]
        strongest = np.empty(len(slots), np.int32)
        # Where places repeat, the last value stays.
        strongest[found[entries]] = entries
        return strongest


def _listed(product_id: str, score: float, reason: str, recent: Recent | None) -> ListedProduct:
    """What a shopper bought is a better reason to give than that they looked at it first."""
    if recent is None:
        return ListedProduct(product_id, score, reason)
    if reason == Reason.BECAUSE_VIEWED and recent.bought:
        reason = Reason.BECAUSE_BOUGHT
    return ListedProduct(product_id, score, reason, recent.product_id)
