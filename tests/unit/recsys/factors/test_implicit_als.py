from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.factors.initial import initial_vectors
from recsys.factors.learner import FactorLearner, FactorRules
from recsys.factors.solving import Visited, regularised, solve
from recsys.factors.space import VectorSpace
from recsys.sessions.index import Sessions

RULES = FactorRules(factors=4, regularisation=1.0, turns=1.0, tolerance=0.01)


def normal_equations(gram, vectors, weights, alpha, expected, pull=0.0):  # type: ignore[no-untyped-def]
    """``gram`` without the regularisation ``pull``."""
    left = gram + pull * np.eye(len(gram))
    left = left + sum(alpha * w * np.outer(y, y) for y, w in zip(vectors, weights, strict=True))
    right = pull * expected + sum((1 + alpha) * w * y for y, w in zip(vectors, weights, strict=True))
    return np.linalg.solve(left, right + np.zeros(len(gram)))


@given(st.lists(st.integers(0, 12), min_size=1, max_size=6), st.booleans(), st.integers(0, 2**32 - 1))
def test_a_fold_in_solves_the_normal_equations(counts: list[int], informed: bool, seed: int) -> None:
    random = np.random.default_rng(seed)
    total, factors = sum(counts), 5
    every = random.normal(size=(40, factors))
    gram = every.T @ every
    visited = Visited(np.array(counts), random.normal(size=(total, factors)), random.uniform(0.0, 3.0, total))
    expected = random.normal(size=(len(counts), factors))
    found = solve(regularised(gram, 3.0), visited, 2.0, expected if informed else None)
    ends = np.cumsum(counts)
    for number, (end, count) in enumerate(zip(ends, counts, strict=True)):
        own = slice(end - count, end)
        prior = expected[number] if informed else np.zeros(factors)
        wanted = normal_equations(gram, visited.vectors[own], visited.weights[own], 2.0, prior, pull=3.0)
        assert found[number] == pytest.approx(wanted, abs=1e-9)


def test_many_and_long_problems_are_solved_in_parts() -> None:
    random = np.random.default_rng(1)
    counts = np.array([1, 40_000, 0, 3, 20_000])
    visited = Visited(counts, random.normal(size=(60_004, 3)), np.ones(60_004))
    found = solve(regularised(np.eye(3), 0.0), visited, 1.0)
    wanted = normal_equations(np.eye(3), visited.vectors[40_001:40_004], np.ones(3), 1.0, np.zeros(3))
    assert found[3] == pytest.approx(wanted)
    assert not found[2].any()


def test_the_gram_matrix_follows_the_vectors() -> None:
    space, random = VectorSpace(3), np.random.default_rng(2)
    space.reserve(20)
    for _ in range(30):
        numbers = random.permutation(20)[:5]
        space.put(numbers, random.normal(size=(5, 3)))
        vectors = space.vectors.astype(np.float64)
        assert space.gram == pytest.approx(vectors.T @ vectors, abs=1e-9)


def test_first_vectors_follow_from_the_id() -> None:
    vectors = initial_vectors([f"p{number}" for number in range(500)], 8)
    assert (initial_vectors(["p3"], 8)[0] == vectors[3]).all()
    assert abs(vectors.mean()) < 0.01
    assert vectors.std() == pytest.approx(0.1, rel=0.05)
    assert np.abs(np.corrcoef(vectors.T) - np.eye(8)).max() < 0.2


def learn(learner: FactorLearner, **visits: str) -> None:
    """Who visited which items, a letter each."""
    items = learner.assign([item for own in visits.values() for item in own])
    times = np.array([at_ms for own in visits.values() for at_ms in range(len(own))], np.int64)
    counts = np.array(list(map(len, visits.values())), np.int64)
    learner.learn(Sessions(list(visits), counts, items, times, np.ones(len(items), np.float32)))


def scores(learner: FactorLearner, visited: str) -> dict[str, float]:
    every = {name: learner.vector(name) for name in "abcdef"}
    known = {name: vector.astype(np.float64) for name, vector in every.items() if vector is not None}
    vectors = np.array([known[name] for name in visited])
    query = Visited(np.array([len(visited)]), vectors, np.ones(len(visited)))
    user = solve(regularised(learner.items.gram, RULES.regularisation), query, RULES.alpha)[0]
    return {name: float(vector @ user) for name, vector in known.items()}


def test_what_goes_together_is_learnt_from_a_stream() -> None:
    learner = FactorLearner(RULES)
    for number in range(60):
        learn(learner, **{f"left-{number}": "abc"[: 2 + number % 2], f"right-{number}": "def"[1 - number % 2 :]})
    found = scores(learner, "a")
    assert min(found["b"], found["c"]) > 3 * max(abs(found[name]) for name in "def")


def test_vectors_of_shoppers_and_items_solve_their_equations_after_every_step() -> None:
    learner = FactorLearner(FactorRules(factors=4, regularisation=1.0, turns=0.0))
    learn(learner, u="abc", v="bcd", w="ae")
    item = learner.assign(["b"])[0]
    users = learner.users.vectors[learner.index.find(["u", "v"])].astype(np.float64)
    gram = learner.users.gram + np.eye(4)
    wanted = normal_equations(gram, users, np.ones(2), 2.0, np.zeros(4))
    assert learner.items.vectors[item] == pytest.approx(wanted, abs=1e-5)


def test_a_forgotten_shopper_leaves_nothing_behind() -> None:
    learner, never = FactorLearner(RULES), FactorLearner(RULES)
    for one in (learner, never):
        learn(one, u="abc", v="bcd")
    learn(learner, gone="abd")
    learn(learner, gone="")
    assert learner.index.find(["gone"]).tolist() == [-1]
    for _ in range(40):
        learner.take_turns(10)
        never.take_turns(10)
    found, wanted = scores(learner, "a"), scores(never, "a")
    assert found == pytest.approx(wanted, abs=1e-3)


def test_only_vectors_that_moved_are_taken() -> None:
    learner = FactorLearner(RULES)
    learn(learner, u="abc", v="abc")
    assert sorted(learner.take_moved().product_ids) == ["a", "b", "c"]
    assert learner.take_moved().product_ids == []
    for _ in range(60):
        learner.take_turns(3)
        learner.take_moved()
    learner.take_turns(3)
    assert learner.take_moved().product_ids == []
    learn(learner, w="abf")
    assert "f" in learner.take_moved().product_ids


def test_a_restored_learner_goes_on_where_it_was() -> None:
    learner = FactorLearner(RULES)
    learn(learner, u="abc", v="bcd")
    moved = learner.take_moved()
    again = FactorLearner(RULES)
    for product_id, vector in zip(*moved, strict=True):
        again.restore(product_id, vector)
    assert again.take_moved().product_ids == []
    assert (again.vector("b") == learner.vector("b")).all()
    assert again.items.gram == pytest.approx(learner.items.gram)
