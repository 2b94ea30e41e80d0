"""A product's bounded co-occurrence row: what the same shoppers visit after it, before it, and buy with it.

Every number is a forward-decayed sum (``recsys.decay``), so a row does not depend on the order in which its
visits arrive. Lists follow from the row alone, for a companion's own row may live on another machine.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.association import Floats, Measure, Totals, association, shares
from recsys.decay import Decay
from recsys.item_totals import PURCHASES, VISITS, ItemTotals
from schemas.events import Action, CoVisits, ItemState, ListedProduct, Reason

_BOUGHT_SHARE = 4
"""A quarter of the places in a row are kept for what is bought together, which is rarer than what is viewed."""
_NO_PLACES = np.zeros(0, np.intp)
_NOTHING = 1e-9
"""Visits of the row's latest event that count as none: what is left of sums when all is taken back."""


@dataclass(frozen=True, slots=True)
class RowRules:
    """How rows forget, how large they grow and how lists follow from them."""

    decay: Decay
    max_companions: int = 64
    list_length: int = 20
    before_share: float = 0.5
    """What a visit to the companion before the product counts, where one after it counts one."""
    damping: float = 2.0
    """Visits added to a product's own before its companions are set against them (significance weighting)."""
    viewed_measure: Measure = "share"
    bought_measure: Measure = "share"

    @property
    def cut_at(self) -> int:
        """Companions at which a row is cut back to ``max_companions``."""
        return self.max_companions + max(1, self.max_companions // 4)


class ItemRow:
    """One product's row; the companions are in lexicographic order, and the columns go with them.

    A row that reaches ``rules.cut_at`` companions is cut back to its ``max_companions`` strongest. What is
    cut was no stronger than the weakest that stays, and loses no more than that; for a list to miss a companion
    it has to be cut again and again, each time after a quarter of ``max_companions`` others came in new. A row
    that never held more than that is exact, whatever the order of arrival.
    """

    __slots__ = (
        "bought_together",
        "companion_ids",
        "epoch",
        "event_time_ms",
        "listed_next",
        "listed_together",
        "product_id",
        "purchases",
        "revision",
        "slot",
        "unit",
        "viewed_after",
        "viewed_before",
        "visits",
    )

    def __init__(self, product_id: str) -> None:
        self.product_id = product_id
        self.epoch = 0
        self.unit = 1.0
        """Weight of one visit at ``event_time_ms``."""
        self.event_time_ms = 0
        self.visits = 0.0
        self.purchases = 0.0
        self.companion_ids: list[str] = []
        self.viewed_after = array("d")
        self.viewed_before = array("d")
        self.bought_together = array("d")
        self.listed_next: tuple[str, ...] = ()
        self.listed_together: tuple[str, ...] = ()
        self.revision = 0
        self.slot = -1
        """Where the row stands among a shard's rows; not part of its state."""

    @classmethod
    def of_state(cls, state: ItemState) -> ItemRow:
        """The row that a snapshot was taken of."""
        row = cls(state.product_id)
        row.epoch, row.event_time_ms, row.unit = state.epoch, state.event_time_ms, state.unit
        row.visits, row.purchases = state.visits, state.purchases
        row.companion_ids = list(state.companion_ids)
        row.viewed_after = array("d", state.viewed_after)
        row.viewed_before = array("d", state.viewed_before)
        row.bought_together = array("d", state.bought_together)
        row.listed_next = tuple(state.listed_next)
        row.listed_together = tuple(state.listed_together)
        row.revision = state.revision
        return row

    @property
    def nbytes(self) -> int:
        """Bytes that it takes, but for companions' ids, which rows share."""
        columns = (self.companion_ids, self.viewed_after, self.viewed_before, self.bought_together)
        others = (self, self.listed_next, self.listed_together)
        return sum(part.__sizeof__() for part in (*columns, *others))

    def snapshot(self) -> ItemState:
        """The row as its changelog has it; its sequences are copies."""
        return ItemState(
            product_id=self.product_id,
            epoch=self.epoch,
            unit=self.unit,
            visits=self.visits,
            purchases=self.purchases,
            companion_ids=tuple(self.companion_ids),
            viewed_after=self.viewed_after.tolist(),
            viewed_before=self.viewed_before.tolist(),
            bought_together=self.bought_together.tolist(),
            event_time_ms=self.event_time_ms,
            listed_next=self.listed_next,
            listed_together=self.listed_together,
            revision=self.revision,
        )

    def add(self, co_visits: CoVisits, rules: RowRules) -> tuple[list[str], list[str]]:
        """Count what one message says; returns the companions that came in and those that went."""
        self._advance(latest_time_ms(co_visits), rules.decay)
        self._count_visits(co_visits, rules.decay)
        came = self._count_companions(co_visits, rules.decay)
        went = self._clear() if min(co_visits.companion_strengths, default=0.0) < 0.0 else []
        return came, went + self._cut(rules.max_companions) if len(self.companion_ids) >= rules.cut_at else went

    @property
    def is_empty(self) -> bool:
        """True where nothing is counted: all was taken back."""
        nothing = _NOTHING * self.unit
        return not self.companion_ids and self.visits <= nothing

    def next_list(
        self, rules: RowRules, may_list: Callable[[str], bool], totals: ItemTotals | None = None
    ) -> list[ListedProduct]:
        """What is viewed next, best first, by the measure of the rules; those other than ``share`` need totals.

        A visit to the companion before the product counts for ``before_share``, since shoppers go back and forth.
        """
        both = np.array(self.viewed_after) + rules.before_share * np.array(self.viewed_before)
        needed = self._totals(rules.viewed_measure, VISITS, totals)
        scores = self._scores(rules.viewed_measure, both, self.visits, needed, rules.damping)
        return self._listed(scores, Reason.VIEWED_NEXT, rules, may_list)

    def together_list(
        self, rules: RowRules, may_list: Callable[[str], bool], totals: ItemTotals | None = None
    ) -> list[ListedProduct]:
        """What is bought together, best first, by the measure of the rules."""
        needed = self._totals(rules.bought_measure, PURCHASES, totals)
        both = np.array(self.bought_together)
        scores = self._scores(rules.bought_measure, both, self.purchases, needed, rules.damping)
        return self._listed(scores, Reason.BOUGHT_TOGETHER, rules, may_list)

    def _totals(self, measure: Measure, column: int, totals: ItemTotals | None) -> Totals | None:
        if measure == "share" or totals is None:
            return None
        return totals.of(self.companion_ids, column, self.epoch)

    def _scores(self, measure: Measure, both: Floats, own: float, totals: Totals | None, damping: float) -> Floats:
        """The measure, in visits as of the row's latest event, so that the clock does not matter."""
        unit = self.unit
        if totals is None:
            return shares(both, own, damping * unit)
        totals = Totals(totals.others / unit, totals.everything / unit)
        return association(measure, both / unit, own / unit, totals, damping)

    def _listed(
        self, scores: NDArray[np.float64], reason: str, rules: RowRules, may_list: Callable[[str], bool]
    ) -> list[ListedProduct]:
        """The best that may be listed; ties go to the smaller id."""
        items: list[ListedProduct] = []
        for place in _best(scores, int(np.count_nonzero(scores))).tolist():
            if self.companion_ids[place] != self.product_id and may_list(self.companion_ids[place]):
                items.append(
                    ListedProduct(self.companion_ids[place], float(scores[place]), reason, self.product_id)
                )
                if len(items) == rules.list_length:
                    break
        return items

    def _advance(self, event_time_ms: int, decay: Decay) -> None:
        """Move on to the epoch of a later event."""
        if event_time_ms <= self.event_time_ms:
            return
        self.event_time_ms = event_time_ms
        epoch = decay.epoch_of(event_time_ms)
        if epoch > self.epoch:
            factor = decay.factor(self.epoch, epoch)
            self.epoch = epoch
            self.visits *= factor
            self.purchases *= factor
            for column in (self.viewed_after, self.viewed_before, self.bought_together):
                column[:] = array("d", [value * factor for value in column])
        self.unit = decay.weight(event_time_ms, self.epoch)

    def _count_visits(self, co_visits: CoVisits, decay: Decay) -> None:
        """Each counts one, whatever its weight; what is withdrawn is taken off."""
        sign = -1.0 if co_visits.withdrawn else 1.0
        for at_ms, action in zip(co_visits.visit_times_ms, co_visits.visit_actions, strict=True):
            decayed = sign * decay.weight(at_ms, self.epoch)
            self.visits += decayed
            if action == Action.PURCHASE:
                self.purchases += decayed

    def _count_companions(self, co_visits: CoVisits, decay: Decay) -> list[str]:
        columns = (self.viewed_after, self.viewed_before, self.bought_together)
        ids, epoch, came = self.companion_ids, self.epoch, []
        for companion_id, at_ms, relation, strength in zip(
            co_visits.companion_ids,
            co_visits.companion_times_ms,
            co_visits.companion_relations,
            co_visits.companion_strengths,
            strict=True,
        ):
            place = bisect_left(ids, companion_id)
            if place == len(ids) or ids[place] != companion_id:
                ids.insert(place, companion_id)
                for column in columns:
                    column.insert(place, 0.0)
                came.append(companion_id)
            columns[relation][place] += strength * decay.weight(at_ms, epoch)
        return came

    def _clear(self) -> list[str]:
        """Let go of companions of which nothing is left, and of what rounding left; returns them."""
        columns = np.array([self.viewed_after, self.viewed_before, self.bought_together])
        columns[columns < _NOTHING * self.unit] = 0.0
        left = columns.any(axis=0)
        went = [self.companion_ids[place] for place in np.flatnonzero(~left).tolist()]
        self.companion_ids = [self.companion_ids[place] for place in np.flatnonzero(left).tolist()]
        after, before, together = columns[:, left].tolist()
        self.viewed_after, self.viewed_before = array("d", after), array("d", before)
        self.bought_together = array("d", together)
        return went

    def _cut(self, max_companions: int) -> list[str]:
        """Keep the strongest, a share of them by what is bought together; ties go to the smaller id."""
        together = np.array(self.bought_together)
        viewed = np.array(self.viewed_after) + np.array(self.viewed_before)
        keep = np.zeros(len(together), bool)
        bought = _best(together, max_companions // _BOUGHT_SHARE)
        keep[bought[together[bought] > 0]] = True
        viewed[keep] = -np.inf
        keep[_best(viewed, max_companions - int(keep.sum()))] = True
        kept = np.flatnonzero(keep).tolist()
        cut = [self.companion_ids[place] for place in np.flatnonzero(~keep).tolist()]
        self.companion_ids = [self.companion_ids[place] for place in kept]
        self.viewed_after = array("d", [self.viewed_after[place] for place in kept])
        self.viewed_before = array("d", [self.viewed_before[place] for place in kept])
        self.bought_together = array("d", [self.bought_together[place] for place in kept])
        return cut


def latest_time_ms(co_visits: CoVisits) -> int:
    """Event time of the latest thing that a message tells of, 0 for an empty one."""
    return max((*co_visits.visit_times_ms, *co_visits.companion_times_ms), default=0)


def _best(values: NDArray[np.float64], n: int) -> NDArray[np.intp]:
    """Places of the n largest, the largest first; ties go to the smaller place."""
    return np.argsort(-values, kind="stable")[:n] if n else _NO_PLACES
