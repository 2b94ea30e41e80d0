"""Mixes scorers into one list: what may be recommended, best first, each product with its reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
        parts: list[tuple[Scorer, Scored]] = []
        for scorer in self._scorers:
            scored = scorer.score(query)
            if len(scored.slots):
                share = self._weights[scorer.name] / scored.scores.sum()
                parts.append((scorer, scored._replace(scores=scored.scores * share)))
        if not parts:
            return []
        slots, total, _ = self._slots.sum_up(
            np.concatenate([scored.slots for _, scored in parts]),
            np.concatenate([scored.scores for _, scored in parts]),
        )
        best = self._best(slots, total, query)
        return self._explained(slots[best], total[best], parts, query)

    def _best(self, slots: Slots, total: Floats, query: Query) -> list[int]:
        total[~self._slots.recommendable[slots]] = 0.0
        excluded = [slot for product_id in query.excluded if (slot := self._slots.get(product_id)) is not None]
        if excluded:
            total[np.isin(slots, excluded)] = 0.0
        places = np.flatnonzero(total > 0.0)
        if len(places) > query.n:
            least = np.partition(total[places], len(places) - query.n)[len(places) - query.n]
            places = places[total[places] >= least]
        ids = self._slots.ids
        ordered = sorted(places.tolist(), key=lambda place: (-total[place], ids[slots[place]]))
        return ordered[: query.n]

    def _explained(
        self, slots: Slots, total: Floats, parts: Sequence[tuple[Scorer, Scored]], query: Query
    ) -> list[ListedProduct]:
        """The products with the reasons of the scorers that contribute most to each."""
        strongest = np.zeros(len(slots))
        reasons = [""] * len(slots)
        because = np.full(len(slots), -1)
        for scorer, scored in parts:
            found = self._slots.find(slots, scored.slots)
            stronger = np.flatnonzero((found >= 0) & (scored.scores[found] > strongest))
            strongest[stronger] = scored.scores[found[stronger]]
            because[stronger] = scored.because[found[stronger]]
            for place in stronger.tolist():
                reasons[place] = scorer.reason
        ids = self._slots.ids
        return [
            _listed(ids[slot], score, reason, query.recent[place] if place >= 0 else None)
            for slot, score, reason, place in zip(
                slots.tolist(), total.tolist(), reasons, because.tolist(), strict=True
            )
        ]


def _listed(product_id: str, score: float, reason: str, recent: Recent | None) -> ListedProduct:
    """What a shopper bought is a better reason to give than that they looked at it first."""
    if reason == Reason.BECAUSE_VIEWED and recent is not None and recent.bought:
        reason = Reason.BECAUSE_BOUGHT
    return ListedProduct(product_id, score, reason, recent.product_id if recent is not None else "")
