"""Mixes scorers into one list: what may be recommended, best first, each product with its reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from recsys.scoring.query import Query
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
        scorers, said, ends = self._mixed(parts)
        slots, totals = self._slots.sum_up(said.slots, said.scores)
        best = self._best(slots, totals, query)
        slots, totals = slots[best], totals[best]
        strongest = self._strongest(slots, said)
        reasons = [_reasons(scorer) for scorer in scorers]
        because = [
            *zip(query.product_ids, query.bought, strict=True),
            ("", False),
        ]  # the last, -1, where there is none
        ids = self._slots.ids
        columns = (slots, totals, np.searchsorted(ends, strongest, "right"), said.because[strongest])
        listed = []
        for slot, total, part, place in zip(*(column.tolist() for column in columns), strict=True):
            product_id, bought = because[place]
            listed.append(ListedProduct(ids[slot], total, reasons[part][bought], product_id))
        return listed

    def _mixed(self, parts: Sequence[tuple[Scorer, Scored]]) -> tuple[list[Scorer], Scored, list[int]]:
        """Everything that is said, weighed, and up to which entry by which scorer."""
        scorers = [scorer for scorer, _ in parts]
        lengths = [len(scored.slots) for _, scored in parts]
        ends = list(accumulate(lengths))
        scores = np.concatenate([scored.scores for _, scored in parts])
        shares = np.array([self._weights[scorer.name] for scorer in scorers])
        sums = np.add.reduceat(scores, [0, *ends[:-1]])
        # Nothing is said because of what was returned: its weight is zero.
        shares = np.divide(shares, sums, out=np.zeros_like(sums), where=sums > 0.0)
        scores *= np.repeat(shares, lengths)
        slots = np.concatenate([scored.slots for _, scored in parts])
        because = np.concatenate([scored.because for _, scored in parts])
        return scorers, Scored(slots, scores, because), ends

    def _best(self, slots: Slots, totals: Floats, query: Query) -> NDArray[np.intp]:
        """Places of the best, best first."""
        totals *= self._slots.listable(slots, query.excluded)
        least = 0.0
        if len(slots) > query.n:
            least = float(np.partition(totals, len(slots) - query.n)[len(slots) - query.n])
        (places,) = (totals >= least if least > 0.0 else totals > 0.0).nonzero()
        ids = self._slots.ids
        found = zip(totals[places].tolist(), slots[places].tolist(), places.tolist(), strict=True)
        ordered = sorted((-total, ids[slot], place) for total, slot, place in found)
        return np.array([place for _, _, place in ordered[: query.n]], np.intp)

    def _strongest(self, slots: Slots, said: Scored) -> Slots:
        """Of everything that is said for each product, the place of what counts most; of equals the first."""
        found = self._slots.find(said.slots, slots)
        entries = (found >= 0).nonzero()[0][::-1]
        entries = entries[np.argsort(said.scores[entries], kind="stable")]
        strongest = np.empty(len(slots), np.int32)
        # Where places repeat, the last value stays.
        strongest[found[entries]] = entries
        return strongest


def _reasons(scorer: Scorer) -> tuple[str, str]:
    """The reason because of a product that was not bought, and because of one that was."""
    bought = Reason.BECAUSE_BOUGHT if scorer.reason == Reason.BECAUSE_VIEWED else scorer.reason
    return scorer.reason, bought
