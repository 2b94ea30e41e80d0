"""Tastes of users of whom only the profile is known."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.catalogue import Catalogue
from recsys.factors.learner import FactorLearner, FactorRules
from recsys.factors.profiles import ProfileVectors
from recsys.scoring.factor_scorer import FactorScorer, FoldInRules
from recsys.scoring.query import Queries
from recsys.scoring.slots import ProductSlots
from recsys.sessions.index import Sessions
from schemas.codec import decode, encode
from schemas.events import ItemFactors, ProductCreated, ProfileFactors


def published(**vectors: list[float]) -> ProfileFactors:
    data = np.array(list(vectors.values()), "<f4").tobytes()
    names = [name.replace("_", "=") if name != "every" else "" for name in vectors]
    event = ProfileFactors(3, names, data, 9)
    found = decode("profile-factors", encode(event))
    assert isinstance(found, ProfileFactors)
    return found


def test_the_vectors_of_a_profile_add_up() -> None:
    profiles = ProfileVectors(published(every=[1.0, 0.0], city_Ghent=[0.0, 2.0], city_Bruges=[0.5, 0.5]))
    asked = [{"city": "Ghent"}, {}, {"city": "Bruges", "age": "30"}, {"shoe": "44"}]
    expected = [[1.0, 2.0], [0.0, 0.0], [1.5, 0.5], [1.0, 0.0]]
    assert profiles.expected(asked).tolist() == profiles.expected(asked).tolist() == expected
    assert (profiles.generation, profiles.factors) == (3, 2)
    assert ProfileVectors(ProfileFactors(0, [], b"", 0)).expected([{"city": "Ghent"}]).shape == (1, 0)


def scorer() -> tuple[FactorScorer, ProductSlots]:
    """Products x and y, each a direction of its own."""
    catalogue = Catalogue()
    slots = ProductSlots(catalogue)
    for product_id in "xy":
        catalogue.put(product_id, ProductCreated(product_id, 1))
    slots.assign("xy")
    made = FactorScorer(slots, FoldInRules(regularisation=0.1))
    columns = {"x": [1.0, 0.1], "y": [0.1, 1.0]}
    made.put(
        [(name, ItemFactors(name, 0, np.array(vector, "<f4").tobytes(), 1)) for name, vector in columns.items()]
    )
    return made, slots


def scores(made: FactorScorer, visited: str, profile: dict[str, str]) -> dict[int, float]:
    owners, weights = np.zeros(len(visited), np.int64), np.full(len(visited), 1.0)
    queries = Queries(
        list(visited), owners, weights, [False] * len(visited), [()], [""], profiles=[profile] if profile else ()
    )
    found = made.score(queries)
    return dict(zip(found.slots.tolist(), found.scores.tolist(), strict=True))


def profile_factors(generation: int = 0) -> ProfileFactors:
    vectors = np.array([[0.0, 0.0], [0.0, 1.0]], "<f4")
    return ProfileFactors(generation, ["", "city=Ghent"], vectors.tobytes(), 1)


def test_a_user_nobody_has_seen_has_the_taste_of_the_profile() -> None:
    made, slots = scorer()
    assert scores(made, "", {"city": "Ghent"}) == {}, "nothing is known of profiles yet"
    made.put_profiles(profile_factors())
    found = scores(made, "", {"city": "Ghent"})
    assert found == {slots.get("x"): pytest.approx(0.1), slots.get("y"): pytest.approx(1.0)}
    assert scores(made, "", {"city": "Bruges"}) == {}
    assert scores(made, "", {}) == {}


def test_what_was_visited_comes_on_top_of_the_profile() -> None:
    made, slots = scorer()
    without = scores(made, "x", {"city": "Ghent"})
    assert without == scores(made, "x", {})
    made.put_profiles(profile_factors())
    assert scores(made, "x", {"city": "Ghent"})[slots.get("y") or 0] > without[slots.get("y") or 0]
    assert scores(made, "x", {}) == without


def test_vectors_of_another_fit_and_of_another_length_are_left_alone() -> None:
    made, _ = scorer()
    made.put_profiles(profile_factors(generation=7))
    assert scores(made, "", {"city": "Ghent"}) == {}
    made.put_profiles(ProfileFactors(0, [""], np.ones(3, "<f4").tobytes(), 1))
    assert scores(made, "", {"city": "Ghent"}) == {}
    made.put_profiles(None)
    assert scores(made, "", {"city": "Ghent"}) == {}


def test_the_learner_tells_of_profiles_when_they_moved() -> None:
    learner = FactorLearner(FactorRules(factors=4, regularisation=0.1, user_ridge=1.0))
    assert learner.take_profile() is None
    users = [f"u{number}" for number in range(20)]
    for number, user in enumerate(users):
        learner.put_user_features(user, ["city=Ghent" if number % 2 else "city=Bruges"])
    numbers = learner.assign(["a" if number % 2 else "b" for number in range(20)])
    ones = np.ones(20, np.float32)
    learner.learn(Sessions(users, np.ones(20, np.int64), numbers, np.arange(20), ones))
    moved = learner.take_profile()
    assert moved is not None
    names, vectors = moved
    assert names == ["", "city=Bruges", "city=Ghent"]
    tastes = {name: vectors[0] + vectors[place] for place, name in enumerate(names)}
    items = {name: learner.vector(name) for name in "ab"}
    assert tastes["city=Ghent"] @ items["a"] > tastes["city=Ghent"] @ items["b"]
    assert tastes["city=Bruges"] @ items["b"] > tastes["city=Bruges"] @ items["a"]
    assert learner.take_profile() is None, "nothing moved since"
