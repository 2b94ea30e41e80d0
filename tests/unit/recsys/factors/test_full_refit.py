from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.factors.learner import FactorLearner, FactorRules
from recsys.factors.objective import loss
from recsys.factors.refit import RefitRules, refit
from recsys.sessions.index import Sessions

RULES = FactorRules(factors=3, regularisation=0.5, item_ridge=1.0, user_ridge=1.0)
visits = st.dictionaries(
    st.tuples(st.integers(0, 6), st.sampled_from("abcdef")),
    st.floats(0.125, 4.0, width=32),
    min_size=1,
    max_size=20,
)
Visits = dict[tuple[int, str], float]


def remembered(visits: Visits, featured: bool = False) -> FactorLearner:
    learner = FactorLearner(RULES)
    users = sorted({user for user, _ in visits})
    pairs = [(user, item) for user in users for item in "abcdef" if (user, item) in visits]
    counts = np.array([sum(own == user for own, _ in pairs) for user in users], np.int64)
    items = learner.assign([item for _, item in pairs])
    strengths = np.array([visits[pair] for pair in pairs], np.float32)
    names = [f"u{user}" for user in users]
    learner.remember(Sessions(names, counts, items, np.arange(len(pairs)), strengths))
    if featured:
        for name in names:
            learner.put_user_features(name, [f"parity={int(name[1:]) % 2}"])
        for item in "abcdef":
            learner.put_item_features(item, ["left" if item in "abc" else "right"])
    return learner


@given(visits, st.booleans())
def test_the_loss_is_that_of_the_definition(visits: Visits, featured: bool) -> None:
    learner = remembered(visits, featured)
    refit(learner, RefitRules(max_sweeps=2))
    users = [f"u{user}" for user in sorted({user for user, _ in visits})]
    numbers = learner.index.find(users)
    left = learner.users.vectors[numbers].astype(np.float64)
    right = learner.items.vectors[: len(learner)].astype(np.float64)
    wanted, confidence = np.zeros((2, len(left), len(right)))
    confidence += 1.0
    for (user, item), strength in visits.items():
        place = users.index(f"u{user}"), list(learner.product_ids).index(item)
        confidence[place] = 1.0 + RULES.alpha * np.float32(strength)
        wanted[place] = (1.0 + RULES.alpha) * np.float32(strength) / confidence[place]
    total = (confidence * np.square(wanted - left @ right.T)).sum()
    total += 0.5 * np.square(left - learner.expected_users(users)).sum()
    total += 0.5 * np.square(right - learner.item_features.expected(learner.product_ids)).sum()
    assert loss(learner) == pytest.approx(total / len(visits), rel=1e-4, abs=1e-6)


@given(visits)
def test_every_sweep_lowers_the_loss_until_nothing_changes(visits: Visits) -> None:
    learner, losses = remembered(visits), list[float]()
    fitted = refit(learner, RefitRules(1e-7, 500), lambda _, found: losses.append(found))
    assert all(after <= before + 1e-5 * abs(before) for before, after in pairwise(losses))
    assert fitted.sweeps == len(losses)
    assert fitted.loss == losses[-1]
    learner.solve_users(learner.index.used())
    assert loss(learner) == pytest.approx(fitted.loss, rel=1e-3)


def test_a_refit_that_has_no_time_left_says_so() -> None:
    learner = remembered({(user, item): 1.0 for user in range(6) for item in "abcdef"[user % 3 :]})
    assert not refit(learner, RefitRules(0.0, 2)).converged


def test_without_visits_there_is_no_loss() -> None:
    assert loss(FactorLearner(RULES)) == 0.0
