"""Rates of shoppers dealt at random, how sure they are, and by how much one is above another.

Shoppers are dealt, not impressions, so shoppers are what varies: a rate such as clicks an impression is a ratio
of two sums over shoppers, and its variance that of the delta method (Deng, Knoblich and Lu, "Applying the Delta
Method in Metric Analytics", KDD 2018). A lift is the ratio of two such independent estimates, by the delta
method again. Intervals are 95 %, two-sided, and not corrected for looking at several metrics, variants or times.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

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


def compared(own: Estimate, control: Estimate | None) -> Metric:
    """A rate beside the control's; None for the control itself."""
    value = _known(own.value)
    if control is None:
        return Metric(value, None, None, None)
    above = lift(own, control)
    half = _Z95 * math.sqrt(above.variance) if above.variance >= 0 else math.nan
    return Metric(value, _known(above.value), _known(above.value - half), _known(above.value + half))


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
