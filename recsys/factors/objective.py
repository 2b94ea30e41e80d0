"""How well vectors fit what was visited: what ``recsys.factors.solving`` makes as small as it can.

    Σ (1 + α w) (r - x·y)² + Σ (x·y)² + λ (Σ |x - p|² + Σ |y - q|²),    r = (1 + α) w / (1 + α w)

The first sum is over visits of weight w, the second over all other pairs of a shopper x and an item y; p and q are
what the features of either lead to expect.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recsys.factors.features import FeatureVectors, Name
from recsys.factors.learner import FactorLearner
from recsys.factors.solving import Vectors, portions


def loss(learner: FactorLearner) -> float:
    """The objective by visit, so that shops of different sizes can be compared; 0.0 without a visit."""
    index, rules = learner.index, learner.rules
    users = index.used()
    found = 0.0
    for some in portions(users, index.visits.lengths[users]):
        counts, items, half = index.visited(some)
        strengths = half.astype(np.float64)
        vectors = learner.users.vectors[some].astype(np.float64)
        said = np.einsum(
            "vk,vk->v", np.repeat(vectors, counts, axis=0), learner.items.vectors[items].astype(np.float64)
        )
        extra = rules.alpha * strengths
        wanted = (1.0 + rules.alpha) * strengths / (1.0 + extra)
        found += float(np.einsum("uk,kl,ul->", vectors, learner.items.gram, vectors))
        found += float(((1.0 + extra) * np.square(wanted - said) - np.square(said)).sum())
        found += rules.regularisation * _distance(vectors, learner.user_features, index.names(some))
    every = learner.items.vectors[: len(learner)].astype(np.float64)
    found += rules.regularisation * _distance(every, learner.item_features, learner.product_ids)
    visits = int(index.visits.lengths[users].sum())
    return found / visits if visits else 0.0


def _distance(vectors: Vectors, features: FeatureVectors[Name], names: Sequence[Name]) -> float:
    expected = features.expected(names) if len(features) else 0.0
    return float(np.square(vectors - expected).sum())
