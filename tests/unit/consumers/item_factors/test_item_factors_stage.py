from __future__ import annotations

from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.item_factors.settings import ItemFactorSettings
from consumers.item_factors.stage import ItemFactorsStage
from consumers.runtime.memory import MemoryLog, MemoryTransport
from consumers.runtime.settings import WorkerSettings
from consumers.runtime.worker import Worker
from schemas.codec import decode, encode
from schemas.events import ItemFactors, ProductCreated, ProfileFactors, UserHistory

SETTINGS = ItemFactorSettings(factors=4, regularisation=1.0, tolerance=0.0, item_ridge=1.0)


class Shop:
    """A log in memory, and the stage on it, which can be killed and started again."""

    def __init__(self, stage_settings: ItemFactorSettings = SETTINGS) -> None:
        self.log = MemoryLog(partitions=2)
        self._settings = stage_settings
        self.start()

    def start(self) -> None:
        self.stage = ItemFactorsStage(self._settings)
        self.transport = MemoryTransport(
            self.log, "item-factors", ["interaction-state"], ["product-created"], sole_owner=True
        )
        worker = WorkerSettings(backoff_base_seconds=1e-6, backoff_cap_seconds=1e-6)
        self.worker = Worker(self.stage, self.transport, settings=worker)

    def restart(self) -> None:
        self.transport.kill()
        self.start()

    def visit(self, user: str, products: str, city: str = "") -> None:
        count = len(products)
        profile = {"city": city} if city else {}
        state = UserHistory(
            user, range(count), range(count), list(products), [0] * count, [1.0] * count, (), 0, profile
        )
        self.log.append("interaction-state", user.encode(), encode(state))

    def create(self, product_id: str, category: str) -> None:
        event = ProductCreated(product_id, 1, category=category)
        self.log.append("product-created", product_id.encode(), encode(event))

    def profile(self) -> ProfileFactors:
        (data,) = self.log.table("profile-factors").values()
        return cast(ProfileFactors, decode("profile-factors", data))

    def forget(self, user: str) -> None:
        self.log.append("interaction-state", user.encode(), None)

    def settle(self) -> None:
        quiet = 0
        while quiet < 5:
            worked = self.worker.run_once(timeout_ms=0)
            quiet = 0 if worked or not self.worker.idle else quiet + 1

    def vectors(self) -> dict[str, list[float]]:
        table = self.log.table("item-factors").items()
        decoded = {key.decode(): cast(ItemFactors, decode("item-factors", value)) for key, value in table}
        return {key: np.frombuffer(value.vector, "<f4").tolist() for key, value in decoded.items()}


visits = st.tuples(
    st.sampled_from("uvwxyz"), st.text("abcdef", max_size=5), st.sampled_from(["", "before", "after"])
)


@settings(max_examples=10, deadline=None)
@given(st.lists(visits, max_size=4))
def test_a_crash_leaves_vectors_of_the_same_products(
    script: list[tuple[str, str, str]],
) -> None:
    calm, stormy = Shop(), Shop()
    for user, products, failure in script:
        for shop in (calm, stormy):
            shop.visit(user, products)
            if shop is stormy and failure:
                shop.log.fail_next_commit(failure)  # type: ignore[arg-type]
            shop.settle()
            if shop is stormy and failure:
                shop.restart()
                shop.settle()
    assert stormy.vectors().keys() == calm.vectors().keys()
    assert all(np.isfinite(vector).all() for vector in stormy.vectors().values())


def test_what_goes_together_has_vectors_alike_also_after_a_restart() -> None:
    shop = Shop()
    for number in range(12):
        shop.visit(f"u{number}", "abc" if number % 2 else "def")
        shop.settle()
    shop.restart()
    for number in range(12, 16):
        shop.visit(f"u{number}", "abc" if number % 2 else "def")
        shop.settle()
    vectors = {name: np.array(own) / np.linalg.norm(own) for name, own in shop.vectors().items()}
    assert vectors["a"] @ vectors["b"] > 0.9
    assert abs(vectors["a"] @ vectors["d"]) < 0.2


def test_a_restart_with_nothing_new_publishes_nothing() -> None:
    shop = Shop()
    shop.visit("u", "abc")
    shop.settle()
    before = len(shop.log.records("item-factors"))
    assert before
    shop.restart()
    shop.settle()
    assert len(shop.log.records("item-factors")) == before


def test_a_small_move_is_not_published() -> None:
    shop = Shop(ItemFactorSettings(factors=4, tolerance=1.0, turns=1.0))
    for number in range(5):
        shop.visit(f"u{number}", "ab")
        shop.settle()
    published = len(shop.log.records("item-factors"))
    shop.visit("u5", "ab")
    shop.settle()
    assert len(shop.log.records("item-factors")) == published


def test_a_forgotten_shopper_is_no_longer_learnt_from() -> None:
    shop = Shop()
    shop.visit("u", "ab")
    shop.settle()
    shop.forget("u")
    shop.settle()
    assert shop.vectors()["a"] == pytest.approx([0.0] * 4, abs=1e-6)


def test_a_new_product_has_the_vector_of_products_like_it_before_its_first_visit() -> None:
    shop = Shop()
    for product_id in "abcdef":
        shop.create(product_id, "left" if product_id in "abc" else "right")
    for number in range(20):
        shop.visit(f"u{number}", "abc" if number % 2 else "def")
        shop.settle()
    shop.create("new", "left")
    shop.settle()
    vectors = {name: np.array(own) for name, own in shop.vectors().items()}
    assert vectors["new"] @ vectors["a"] > 3 * abs(vectors["new"] @ vectors["d"])
    shop.restart()
    shop.settle()
    assert shop.vectors()["new"] == pytest.approx(vectors["new"].tolist(), rel=0.5)


def test_tastes_of_profiles_are_published_and_go_on_after_a_restart() -> None:
    shop = Shop(ItemFactorSettings(factors=4, regularisation=1.0, tolerance=0.05))
    for number in range(12):
        shop.visit(f"u{number}", "abc" if number % 2 else "def", "Ghent" if number % 2 else "Bruges")
        shop.settle()
    before = shop.profile()
    assert set(before.features) == {"", "city=Ghent", "city=Bruges"}
    assert len(before.vectors) == 3 * 4 * 4
    assert shop.log.records("profile-factors")
    shop.restart()
    shop.settle()
    after = shop.profile()
    vectors, again = (np.frombuffer(one.vectors, "<f4").reshape(3, 4) for one in (before, after))
    places = [after.features.index(feature) for feature in before.features]
    assert np.linalg.norm(again[places] - vectors) < 0.5 * np.linalg.norm(vectors)
    shop.forget("u1")
    shop.visit("u3", "abc")
    shop.settle()
    assert len(shop.stage._learner.user_features) == 10
