"""A full fit to everything that is kept: shoppers and items are solved in turn until nothing changes any more.

The model is the learner's, and so is the objective. The learner gets near it with every visit; what takes its turn
rarely, and items of more shoppers than it looks at, are where it can be behind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from recsys.factors.learner import FactorLearner
from recsys.factors.objective import loss

OnSweep = Callable[[int, float], None]
"""Told how many sweeps were made, and the loss after them."""


@dataclass(frozen=True, slots=True)
class RefitRules:
    """When the fit is good enough."""

    tolerance: float = 1e-4
    """Share by which a sweep has to lower the loss for another to follow."""
    max_sweeps: int = 50


class Fitted(NamedTuple):
    """What a fit came to."""

    sweeps: int
    loss: float
    converged: bool | None
    """None where that is not known."""


def refit(learner: FactorLearner, rules: RefitRules, on_sweep: OnSweep = lambda sweeps, loss: None) -> Fitted:
    """Fit the learner to all that it remembers, from the vectors that its items have.

    Unless ``FactorRules.recent_users`` is as many as there are, an item follows from a part of its shoppers alone.
    """
    last = np.inf
    for sweeps in range(1, rules.max_sweeps + 1):
        sweep(learner)
        found = loss(learner)
        on_sweep(sweeps, found)
        if last - found <= rules.tolerance * abs(found):
            return Fitted(sweeps, found, True)
        last = found
    return Fitted(rules.max_sweeps, last, False)


def sweep(learner: FactorLearner) -> None:
    """Solve every shopper given the items, every item that was visited given the shoppers, and the features."""
    learner.solve_users(learner.index.used())
    learner.solve_items(np.flatnonzero(learner.index.popularity(np.arange(len(learner)))))
    learner.fit_features()
