"""What an experiment says: each variant's figures, its lift over the control, and whether it can be trusted.

Shoppers are dealt, not impressions, so shoppers are what varies: a rate such as clicks an impression is a ratio
of two sums over shoppers, and its variance that of the delta method (Deng, Knoblich and Lu, "Applying the Delta
Method in Metric Analytics", KDD 2018). A lift is the ratio of two such independent estimates, by the delta
method again. Intervals are 95 %, two-sided, and not corrected for looking at several metrics, variants or times.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from recsys.histories import event_hash
from schemas.events import Impression, OutcomeName, RecommendationOutcome

MISMATCH_P = 0.001
"""Below it, chance does not explain how shoppers came to be divided (Fabijan et al., KDD 2019)."""

_Z95 = 1.959963984540054

Column = NDArray[np.float64]


class Estimate(NamedTuple):
    """A rate, and the variance of the estimate; NaN for what cannot be told."""

    value: float
    variance: float


class Metric(NamedTuple):
    """A variant's rate, and by how much of the control's it is above that; None for what cannot be told."""

    value: float | None
    lift: float | None
    lift_low: float | None
    lift_high: float | None

    @property
    def is_significant(self) -> bool:
        """True where the interval of the lift leaves zero out."""
        low, high = self.lift_low, self.lift_high
        return low is not None and high is not None and not low <= 0 <= high


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
    click_rate: Metric
    """Clicks an impression."""
    conversion: Metric
    """Share of the shoppers who bought."""
    purchases_a_shopper: Metric
    revenue_a_shopper: Metric


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


class ExperimentTally:
    """Sums up an experiment's impressions and outcomes, each event once; 14 bytes an impression."""

    def __init__(self, experiment: str, shares: Mapping[str, float], control: str) -> None:
        self._experiment = experiment
        self._shares = dict(shares)
        self._control = control
        self._variants = {f"{experiment}:{name}": number for number, name in enumerate(shares)}
        self._shoppers: dict[str, int] = {}
        self._hashes, self._of_shopper, self._of_variant = array("q"), array("I"), array("H")
        self._outcomes: dict[str, _Outcome] = {}

    def add_impression(self, event: Impression) -> None:
        """Count an impression where it is one of the experiment's."""
        variant = self._variants.get(event.variant)
        if variant is not None:
            self._hashes.append(event_hash(event.event_id))
            self._of_shopper.append(self._number(event.subject))
            self._of_variant.append(variant)

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
        impressions, variant_of, several = self._seen()
        counts = self._counts(variant_of)
        samples = []
        for number in range(len(self._shares)):
            own = (variant_of == number) & ~several
            samples.append(_Sample(impressions[own], *(column[own] for column in counts)))
        control = samples[list(self._shares).index(self._control)]
        return ExperimentReport(
            self._experiment,
            self._control,
            [
                sample.report(name, share, None if name == self._control else control)
                for sample, (name, share) in zip(samples, self._shares.items(), strict=True)
            ],
            mismatch_p([len(sample.impressions) for sample in samples], list(self._shares.values())),
            int(several.sum()),
        )

    def _number(self, subject: str) -> int:
        return self._shoppers.setdefault(subject, len(self._shoppers))

    def _seen(self) -> tuple[Column, NDArray[np.int64], NDArray[np.bool_]]:
        """By shopper: impressions, a repeated event once; the variant, -1 for none; and who saw several."""
        _, first = np.unique(np.array(self._hashes, np.int64), return_index=True)
        of_shopper = np.array(self._of_shopper, np.int64)[first]
        of_variant = np.array(self._of_variant, np.int64)[first]
        count = len(self._shoppers)
        lowest, highest = np.full(count, len(self._shares)), np.full(count, -1)
        np.minimum.at(lowest, of_shopper, of_variant)
        np.maximum.at(highest, of_shopper, of_variant)
        return np.bincount(of_shopper, minlength=count).astype(np.float64), highest, lowest < highest

    def _counts(self, variant_of: NDArray[np.int64]) -> tuple[Column, ...]:
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

    def report(self, name: str, share: float, control: _Sample | None) -> VariantReport:
        """The figures, and the lifts over the control where this is not it."""
        return VariantReport(
            name,
            share,
            len(self.impressions),
            round(self.impressions.sum()),
            round(self.clicks.sum()),
            round(self.cart_adds.sum()),
            round(self.purchases.sum()),
            math.fsum(self.revenue),
            *(
                _metric(own, others)
                for own, others in zip(
                    self.estimates(), [None] * 4 if control is None else control.estimates(), strict=True
                )
            ),
        )

    def estimates(self) -> list[Estimate]:
        """Click rate, conversion, purchases and revenue a shopper."""
        each = np.ones(len(self.impressions))
        return [
            ratio(self.clicks, self.impressions),
            ratio((self.purchases > 0).astype(np.float64), each),
            ratio(self.purchases, each),
            ratio(self.revenue, each),
        ]


def ratio(numerators: Column, denominators: Column) -> Estimate:
    """Sum over sum, a position each a shopper, with the delta method's variance; needs two shoppers for that."""
    n, total = len(numerators), denominators.sum()
    if total <= 0:
        return Estimate(math.nan, math.nan)
    value = float(numerators.sum() / total)
    if n < 2:
        return Estimate(value, math.nan)
    residuals = numerators - value * denominators
    return Estimate(value, float(residuals @ residuals / (n - 1) * n / total**2))


def lift(variant: Estimate, control: Estimate) -> Estimate:
    """By how much of the control's rate the variant's is above it; NaN where the control's is not above 0."""
    if not control.value > 0:
        return Estimate(math.nan, math.nan)
    relative = variant.value / control.value
    variance = (variant.variance + relative**2 * control.variance) / control.value**2
    return Estimate(relative - 1, variance)


def mismatch_p(shoppers: Sequence[int], shares: Sequence[float]) -> float | None:
    """p of Pearson's chi-square test of a division of shoppers against expected shares; None without shoppers."""
    total = sum(shoppers)
    if total == 0:
        return None
    expected = np.array(shares) / math.fsum(shares) * total
    statistic = float((((np.array(shoppers) - expected) ** 2) / expected).sum())
    return float(chdtrc(len(shares) - 1, statistic))


def _metric(own: Estimate, control: Estimate | None) -> Metric:
    value = _known(own.value)
    if control is None:
        return Metric(value, None, None, None)
    above = lift(own, control)
    half = _Z95 * math.sqrt(above.variance) if above.variance >= 0 else math.nan
    return Metric(value, _known(above.value), _known(above.value - half), _known(above.value + half))


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
