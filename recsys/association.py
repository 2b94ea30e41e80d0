"""How strongly two products go together: what counts of visits, of either and of both, become.

| measure | of n visits to both, a to the one, b to the other, t to all products |
|---|---|
| share | n / (a + d): how likely the other is, given the one; says most for what is popular |
| cosine | n / √(a b) · n / (n + d): as near from either side |
| lift | n t / (a b) · n / (n + d): how much more often than by chance; says most for what is rare |
| llr | Dunning's log-likelihood ratio, 0 where they meet no more often than by chance: how sure that is |

d is the damping: what rests on few visits counts less (significance weighting). Sources: Herlocker et al., SIGIR
1999; Dunning, "Accurate Methods for the Statistics of Surprise and Coincidence", Computational Linguistics 1993.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

Floats = NDArray[np.float64]

Measure = Literal["share", "cosine", "lift", "llr"]


class Totals(NamedTuple):
    """Visits, or purchases, in the same unit as those to both."""

    others: Floats
    """To each of the others."""
    everything: float
    """To all products together."""


def shares(both: Floats, own: float, damping: float) -> Floats:
    """Of the visits to the one, those that lead to each other; float64, shape of ``both``."""
    return both / (max(own, 0.0) + damping)


def association(measure: Measure, both: Floats, own: float, totals: Totals, damping: float) -> Floats:
    """The measure for each other product, 0 where nothing is known of it; float64, shape of ``both``."""
    if measure == "share":
        return shares(both, own, damping)
    others = np.maximum(totals.others, both)
    own, everything = max(own, float(both.max(initial=0.0))), max(totals.everything, 0.0)
    if measure == "llr":
        return log_likelihood_ratio(both, own, others, everything)
    if measure == "cosine":
        expected = np.sqrt(own * others)
    else:
        expected = own * (others / everything) if everything else np.zeros_like(others)
    raw = np.divide(both, expected, out=np.zeros_like(both), where=(both > 0.0) & (expected > 0.0))
    return raw * both / (both + damping)


def log_likelihood_ratio(both: Floats, own: float, others: Floats, everything: float) -> Floats:
    """G², twice the log of the ratio, of the four counts with and without either; 0 below what chance gives."""
    without_one, without_other = others - both, own - both
    without_either = np.maximum(everything - own - without_one, 0.0)
    total = both + without_one + without_other + without_either
    rows = _entropy(both + without_other) + _entropy(without_one + without_either)
    columns = _entropy(both + without_one) + _entropy(without_other + without_either)
    cells = _entropy(both) + _entropy(without_one) + _entropy(without_other) + _entropy(without_either)
    ratio = np.maximum(2.0 * (cells - rows - columns + _entropy(total)), 0.0)
    seen = (both > 0.0) & (both > own * (others / np.maximum(total, 1e-300)))
    return np.where(seen, ratio, 0.0)


def _entropy(counts: Floats) -> Floats:
    return np.asarray(xlogy(counts, counts))
