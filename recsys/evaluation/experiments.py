"""What an experiment says: each variant's figures, its lift over the control, and whether it can be trusted."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recsys.evaluation.lifts import Column, Estimate, Metric, compared, mismatch_p, ratio
from recsys.histories import event_hash
from schemas.events import Impression, OutcomeName, Purchase, RecommendationOutcome

MISMATCH_P = 0.001
"""Below it, chance does not explain how shoppers came to be divided (Fabijan et al., KDD 2019)."""

_NEVER_MS = np.iinfo(np.int64).max

Numbers = NDArray[np.int64]


METRICS = (
    "click_rate",
    "conversion",
    "purchases_a_shopper",
    "revenue_a_shopper",
    "total_purchases_a_shopper",
    "total_revenue_a_shopper",
)
"""Clicks an impression; the share of the shoppers who bought; the rest by shopper."""


class VariantReport(NamedTuple):
    """One variant's shoppers, and what they did with its shelves."""

    variant: str
    share: float
    """Expected share of the shoppers."""
    shoppers: int
    impressions: int
    clicks: int
    cart_adds: int
    purchases: int
    revenue: float
    total_purchases: int
    """Whatever the variant's shoppers bought after they first saw it, whether put down to its shelves or not."""
    total_revenue: float
    metrics: Mapping[str, Metric]
    """By ``METRICS``."""


class ExperimentReport(NamedTuple):
    """All variants, the control among them."""

    experiment: str
    control: str
    variants: Sequence[VariantReport]
    mismatch_p: float | None
    """Probability that shoppers come to be divided so unlike the expected shares; None without any."""
    shoppers_in_several: int
    """Shoppers that saw more than one variant, such as after the shares were changed; they are left out."""

    @property
    def is_mismatched(self) -> bool:
        """True where the division of shoppers is not what was asked for, so that nothing here can be trusted."""
        return self.mismatch_p is not None and self.mismatch_p < MISMATCH_P


class _Outcome(NamedTuple):
    variant: int
    shopper: int
    name: str
    quantity: float
    revenue: float


class _Seen(NamedTuple):
    """What came into sight, by shopper; a repeated event counts once."""

    impressions: Column
    variants: Numbers
    """-1 for none."""
    several: NDArray[np.bool_]
    """Who saw more than one."""
    first_ms: Numbers


class ExperimentTally:
    """Sums up an experiment's impressions, outcomes and purchases, each event once.

    Memory: 22 bytes an impression, 36 a purchase, whoever's it is.
    """

    def __init__(self, experiment: str, shares: Mapping[str, float], control: str) -> None:
        self._experiment = experiment
        self._shares = dict(shares)
        self._control = control
        self._variants = {f"{experiment}:{name}": number for number, name in enumerate(shares)}
        self._shoppers: dict[str, int] = {}
        self._seen_hashes, self._seen_ms = array("q"), array("q")
        self._seen_by, self._seen_variants = array("I"), array("H")
        self._bought_hashes, self._bought_ms, self._bought_by = array("q"), array("q"), array("I")
        self._bought_quantities, self._bought_revenues = array("d"), array("d")
        self._outcomes: dict[str, _Outcome] = {}

    def add_impression(self, event: Impression) -> None:
        """Count an impression where it is one of the experiment's."""
        variant = self._variants.get(event.variant)
        if variant is not None:
            self._seen_hashes.append(event_hash(event.event_id))
            self._seen_ms.append(event.event_time_ms)
            self._seen_by.append(self._number(event.subject))
            self._seen_variants.append(variant)

    def add_purchase(self, event: Purchase) -> None:
        """Take a purchase, whatever led to it."""
        self._bought_hashes.append(event_hash(event.event_id))
        self._bought_ms.append(event.event_time_ms)
        self._bought_by.append(self._number(event.subject))
        self._bought_quantities.append(event.quantity)
        self._bought_revenues.append(event.quantity * (event.unit_price or 0.0))

    def put_outcome(self, event_id: str, outcome: RecommendationOutcome | None) -> None:
        """Take an outcome as it is now; None where it was taken back."""
        variant = None if outcome is None else self._variants.get(outcome.variant)
        if outcome is None or variant is None:
            self._outcomes.pop(event_id, None)
            return
        shopper = self._number(outcome.subject)
        self._outcomes[event_id] = _Outcome(variant, shopper, outcome.outcome, outcome.quantity, outcome.revenue)

    def report(self) -> ExperimentReport:
        """The report as of what was taken; only shoppers who saw one variant, and no other, count."""
        seen = self._seen()
        columns = (seen.impressions, *self._outcome_counts(seen.variants), *self._purchase_counts(seen.first_ms))
        samples = []
        for number in range(len(self._shares)):
            own = (seen.variants == number) & ~seen.several
            samples.append(_Sample(*(column[own] for column in columns)))
        control = samples[list(self._shares).index(self._control)]
        return ExperimentReport(
            self._experiment,
            self._control,
            [
                sample.report(name, share, None if name == self._control else control)
                for sample, (name, share) in zip(samples, self._shares.items(), strict=True)
            ],
            mismatch_p([len(sample.impressions) for sample in samples], list(self._shares.values())),
            int(seen.several.sum()),
        )

    def _number(self, subject: str) -> int:
        return self._shoppers.setdefault(subject, len(self._shoppers))

    def _seen(self) -> _Seen:
        _, once = np.unique(np.array(self._seen_hashes, np.int64), return_index=True)
        seen_by = np.array(self._seen_by, np.int64)[once]
        variants = np.array(self._seen_variants, np.int64)[once]
        count = len(self._shoppers)
        lowest, highest = np.full(count, len(self._shares)), np.full(count, -1)
        np.minimum.at(lowest, seen_by, variants)
        np.maximum.at(highest, seen_by, variants)
        first_ms = np.full(count, _NEVER_MS)
        np.minimum.at(first_ms, seen_by, np.array(self._seen_ms, np.int64)[once])
        impressions = np.bincount(seen_by, minlength=count).astype(np.float64)
        return _Seen(impressions, highest, lowest < highest, first_ms)

    def _purchase_counts(self, first_ms: Numbers) -> tuple[Column, Column]:
        """All purchases and their revenue by shopper, from the first impression on; a return is revenue alone."""
        _, once = np.unique(np.array(self._bought_hashes, np.int64), return_index=True)
        bought_by = np.array(self._bought_by, np.int64)[once]
        after = np.array(self._bought_ms, np.int64)[once] >= first_ms[bought_by]
        once, bought_by = once[after], bought_by[after]
        quantities, revenues = np.array(self._bought_quantities)[once], np.array(self._bought_revenues)[once]
        count = len(first_ms)
        purchases = np.bincount(bought_by[quantities > 0], minlength=count).astype(np.float64)
        return purchases, np.bincount(bought_by, revenues, minlength=count).astype(np.float64)

    def _outcome_counts(self, variant_of: Numbers) -> tuple[Column, ...]:
        """Clicks, cart-adds, purchases and revenue by shopper, of the variant that they saw."""
        columns = {name: np.zeros(len(variant_of)) for name in OutcomeName.ALL}
        revenue = np.zeros(len(variant_of))
        for variant, shopper, name, quantity, amount in self._outcomes.values():
            if variant_of[shopper] != variant:
                continue
            if quantity >= 0:
                columns[name][shopper] += 1
            revenue[shopper] += amount
        return (*columns.values(), revenue)


class _Sample(NamedTuple):
    """One variant's shoppers, a position each."""

    impressions: Column
    clicks: Column
    cart_adds: Column
    purchases: Column
    revenue: Column
    total_purchases: Column
    total_revenue: Column

    def report(self, name: str, share: float, control: _Sample | None) -> VariantReport:
        """The figures, and the lifts over the control where this is not it."""
        own = self.estimates()
        others: list[Estimate] | list[None] = [None] * len(own) if control is None else control.estimates()
        return VariantReport(
            name,
            share,
            len(self.impressions),
            round(self.impressions.sum()),
            round(self.clicks.sum()),
            round(self.cart_adds.sum()),
            round(self.purchases.sum()),
            math.fsum(self.revenue),
            round(self.total_purchases.sum()),
            math.fsum(self.total_revenue),
            dict(zip(METRICS, map(compared, own, others), strict=True)),
        )

    def estimates(self) -> list[Estimate]:
        """Those of ``METRICS``, in that order."""
        each = np.ones(len(self.impressions))
        return [
            ratio(self.clicks, self.impressions),
            ratio((self.purchases > 0).astype(np.float64), each),
            ratio(self.purchases, each),
            ratio(self.revenue, each),
            ratio(self.total_purchases, each),
            ratio(self.total_revenue, each),
        ]
