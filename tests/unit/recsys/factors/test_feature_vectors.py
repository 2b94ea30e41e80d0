from __future__ import annotations

import numpy as np
import pytest

from recsys.factors.attributes import attribute_features, product_features
from recsys.factors.features import FeatureVectors
from recsys.factors.learner import FactorLearner, FactorRules
from recsys.sessions.index import Sessions
from schemas.events import ProductCreated


def test_feature_vectors_are_those_of_ridge_regression() -> None:
    random = np.random.default_rng(1)
    found = FeatureVectors(3, ridge=2.0)
    names = [f"p{number}" for number in range(40)]
    columns = [[f"c{number % 3}", f"d{number % 5}"] for number in range(40)]
    for name, features in zip(names, columns, strict=True):
        found.put(name, features)
    vectors, visits = random.normal(size=(41, 3)), random.integers(1, 30, 41)
    found.fit([*names, "without"], vectors, visits)
    every = ["", *dict.fromkeys(feature for own in columns for feature in own)]
    matrix = np.array([[feature in ("", *own) for feature in every] for own in columns], float)
    support = visits[:40] / (visits[:40] + 20.0)
    left = (matrix.T * support) @ matrix + 2.0 * np.eye(len(every))
    wanted = matrix @ np.linalg.solve(left, (matrix.T * support) @ vectors[:40])
    assert found.expected(names) == pytest.approx(wanted, abs=1e-3)
    assert not found.expected(["unknown"]).any()


def test_features_are_bounded_and_can_go() -> None:
    found = FeatureVectors(2, max_features=3)
    found.put("a", ["x", "y", "z"])
    found.fit(["a"], np.ones((1, 2)), np.ones(1, np.int64))
    assert found.expected(["a"])[0] == pytest.approx(
        [3 / 21 / (30.0 + 3 / 21)] * 2
    )  # the third feature is left out
    found.put("a", [])
    assert "a" not in found
    assert not found.expected(["a"]).any()


def test_what_is_known_becomes_features_that_others_can_share() -> None:
    attributes = {"age": "34", "zip": "94110", "colour": "dark blue", "brand": "acme", "none": ""}
    assert set(attribute_features(attributes)) == {
        *("age=34", "age~3", "zip=94110", "zip^9", "zip^94", "zip^941"),
        *("colour=dark blue", "colour:dark", "colour:blue", "brand=acme"),
    }
    product = ProductCreated("p", 1, category="mugs", price=8.0, attributes={"brand": "acme"})
    assert set(product_features(product)) == {"category=mugs", "price~6", "brand=acme"}
    assert product_features(None) == []


def test_products_and_shoppers_whom_nobody_has_seen_are_expected_to_be_like_those_alike() -> None:
    learner = FactorLearner(FactorRules(factors=4, regularisation=1.0, item_ridge=1.0, user_ridge=1.0))
    for product_id in "abcdefxy":
        learner.put_item_features(product_id, ["left" if product_id in "abcx" else "right"])
    for number in range(80):
        learner.put_user_features(f"u{number}", [f"likes={number % 2}"])
        items = learner.assign("abc" if number % 2 else "def")
        visits = (items, np.arange(3), np.ones(3, np.float32))
        learner.learn(Sessions([f"u{number}"], np.array([3]), *visits))
    learner.fit_features()
    learner.put_user_features("newcomer", ["likes=1"])
    user = learner.expected_users(["newcomer"])[0]
    scores = {name: float(learner.vector(name) @ user) for name in "adxy"}  # type: ignore[operator]
    assert min(scores["a"], scores["x"]) > 2 * max(abs(scores["d"]), abs(scores["y"]))
    assert "x" in learner.take_moved().product_ids
