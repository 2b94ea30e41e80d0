"""A product's bounded co-occurrence row: what the same shoppers visit after it, before it, and buy with it.

Every number is a forward-decayed sum (``recsys.decay``), so a row does not depend on the order in which its
visits arrive. Lists follow from the row alone, for a companion's own row may live on another machine.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.association import Floats, Measure, Totals, association, shares
from recsys.decay import Decay
from recsys.item_names import ItemNames, numbers_of
from recsys.item_totals import PURCHASES, VISITS, ItemTotals
from schemas.events import Action, CoVisits, ItemState, ListedProduct, Reason, Relation

_BOUGHT_SHARE = 4
"""A quarter of the places in a row are kept for what is bought together, which is rarer than what is viewed."""
_NOTHING_BOUGHT = array("d")
"""The one empty column of all rows; it is replaced, never changed."""
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
        "_names",
        "bought_together",
        "companions",
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

    def __init__(self, product_id: str, names: ItemNames | None = None) -> None:
        self.product_id = product_id
        self._names = ItemNames() if names is None else names
        self.epoch = 0
        self.unit = 1.0
        """Weight of one visit at ``event_time_ms``."""
        self.event_time_ms = 0
        self.visits = 0.0
        self.purchases = 0.0
        self.companions = numbers_of(())
        """Their numbers among the names."""
        self.viewed_after = array("d")
        self.viewed_before = array("d")
        self.bought_together = _NOTHING_BOUGHT
        """Empty where nothing is: most products are bought with none of their companions."""
        self.listed_next: tuple[str, ...] = ()
        self.listed_together: tuple[str, ...] = ()
        self.revision = 0
        self.slot = -1
        """Where the row stands among a shard's rows; not part of its state."""

    @classmethod
    def of_state(cls, state: ItemState, names: ItemNames | None = None) -> ItemRow:
        """The row that a snapshot was taken of."""
        row = cls(state.product_id, names)
        row.epoch, row.event_time_ms, row.unit = state.epoch, state.event_time_ms, state.unit
        row.visits, row.purchases = state.visits, state.purchases
        row.companions = numbers_of(list(map(row._names.assign, state.companion_ids)))
        row.viewed_after = array("d", state.viewed_after)
        row.viewed_before = array("d", state.viewed_before)
        row.bought_together = _unless_zero(state.bought_together)
        row.listed_next = tuple(state.listed_next)
        row.listed_together = tuple(state.listed_together)
        row.revision = state.revision
        return row

    @property
    def companion_ids(self) -> list[str]:
        """The companions by their ids."""
        return list(map(self._names.ids.__getitem__, self.companions))

    @property
    def nbytes(self) -> int:
        """Bytes that it takes, but for companions' ids, which rows share."""
        columns = (self.companions, self.viewed_after, self.viewed_before)
        bought = () if self.bought_together is _NOTHING_BOUGHT else (self.bought_together,)
        others = (self, self.listed_next, self.listed_together)
        return sum(part.__sizeof__() for part in (*columns, *bought, *others))

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
            bought_together=_unless_zero(self.bought_together).tolist(),
            event_time_ms=self.event_time_ms,
            listed_next=self.listed_next,
            listed_together=self.listed_together,
            revision=self.revision,
        )

    def add(self, co_visits: CoVisits, rules: RowRules) -> tuple[list[int], list[int]]:
        """Count what one message says; returns the companions that came in and those that went, by number."""
        self._advance(latest_time_ms(co_visits), rules.decay)
        self._count_visits(co_visits, rules.decay)
        came = self._count_companions(co_visits, rules.decay)
        went = self._clear() if min(co_visits.companion_strengths, default=0.0) < 0.0 else []
        return came, went + self._cut(rules.max_companions) if len(self.companions) >= rules.cut_at else went

    @property
    def is_empty(self) -> bool:
        """True where nothing is counted: all was taken back."""
        nothing = _NOTHING * self.unit
        return not self.companions and self.visits <= nothing

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
        if not self.bought_together:
            return []
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
        ids, companions = self._names.ids, self.companions
        for place in _best(scores, int(np.count_nonzero(scores))).tolist():
            companion_id = ids[companions[place]]
            if companion_id != self.product_id and may_list(companion_id):
                items.append(ListedProduct(companion_id, float(scores[place]), reason, self.product_id))
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
            self.viewed_after = array("d", [value * factor for value in self.viewed_after])
            self.viewed_before = array("d", [value * factor for value in self.viewed_before])
            self.bought_together = _unless_zero([value * factor for value in self.bought_together])
        self.unit = decay.weight(event_time_ms, self.epoch)

    def _count_visits(self, co_visits: CoVisits, decay: Decay) -> None:
        """Each counts one, whatever its weight; what is withdrawn is taken off."""
        sign = -1.0 if co_visits.withdrawn else 1.0
        for at_ms, action in zip(co_visits.visit_times_ms, co_visits.visit_actions, strict=True):
            decayed = sign * decay.weight(at_ms, self.epoch)
            self.visits += decayed
            if action == Action.PURCHASE:
                self.purchases += decayed

    def _count_companions(self, co_visits: CoVisits, decay: Decay) -> list[int]:
        growing = [self.viewed_after, self.viewed_before]
        if self.bought_together or Relation.BOUGHT_TOGETHER in co_visits.companion_relations:
            self.bought_together = array("d", self._bought())
            growing.append(self.bought_together)
        columns = (self.viewed_after, self.viewed_before, self.bought_together)
        numbers, epoch, came = self.companions, self.epoch, []
        id_of, assign = self._names.ids.__getitem__, self._names.assign
        for companion_id, at_ms, relation, strength in zip(
            co_visits.companion_ids,
            co_visits.companion_times_ms,
            co_visits.companion_relations,
            co_visits.companion_strengths,
            strict=True,
        ):
            place = bisect_left(numbers, companion_id, key=id_of)
            if place == len(numbers) or id_of(numbers[place]) != companion_id:
                number = assign(companion_id)
                try:
                    numbers.insert(place, number)
                except OverflowError:
                    numbers = array("I", numbers)
                    numbers.insert(place, number)
                for column in growing:
                    column.insert(place, 0.0)
                came.append(number)
            columns[relation][place] += strength * decay.weight(at_ms, epoch)
        self.companions = numbers
        return came

    def _clear(self) -> list[int]:
        """Let go of companions of which nothing is left, and of what rounding left; returns them by number."""
        columns = np.array([self.viewed_after, self.viewed_before, self._bought()])
        columns[columns < _NOTHING * self.unit] = 0.0
        left = columns.any(axis=0)
        return self._keep(np.asarray(left), *columns)

    def _bought(self) -> Floats:
        """What was bought with each companion."""
        return np.array(self.bought_together) if self.bought_together else np.zeros(len(self.companions))

    def _cut(self, max_companions: int) -> list[int]:
        """Keep the strongest, a share of them by what is bought together; ties go to the smaller id."""
        together = self._bought()
        after, before = np.array(self.viewed_after), np.array(self.viewed_before)
        viewed = after + before
        keep = np.zeros(len(together), bool)
        bought = _best(together, max_companions // _BOUGHT_SHARE)
        keep[bought[together[bought] > 0]] = True
        viewed[keep] = -np.inf
        keep[_best(viewed, max_companions - int(keep.sum()))] = True
        return self._keep(keep, after, before, together)

    def _keep(self, kept: NDArray[np.bool_], after: Floats, before: Floats, together: Floats) -> list[int]:
        """Of these columns keep what is marked; returns the companions that went, by number."""
        numbers = np.array(self.companions)
        self.companions = numbers_of(numbers[kept].tolist())
        self.viewed_after = array("d", after[kept].tolist())
        self.viewed_before = array("d", before[kept].tolist())
        self.bought_together = _unless_zero(together[kept].tolist())
        went: list[int] = numbers[~kept].tolist()
        return went


def latest_time_ms(co_visits: CoVisits) -> int:
    """Event time of the latest thing that a message tells of, 0 for an empty one."""
    return max((*co_visits.visit_times_ms, *co_visits.companion_times_ms), default=0)


def _unless_zero(column: Sequence[float]) -> array[float]:
    """The column, empty where it says nothing."""
    return array("d", column) if any(column) else _NOTHING_BOUGHT


def _best(values: NDArray[np.float64], n: int) -> NDArray[np.intp]:
    """Places of the n largest, the largest first; ties go to the smaller place."""
    return np.argsort(-values, kind="stable")[:n] if n else _NO_PLACES
