from __future__ import annotations

from functools import cache
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.item_factors.refit_job import NothingToRefitError, RefitReport, run_refit, taken_up
from consumers.item_factors.refit_log import MemoryRefitLog
from consumers.item_factors.refit_parts import ItemVectors, RefitParts, cut
from consumers.item_factors.settings import ItemFactorSettings
from consumers.item_factors.stage import ItemFactorsStage
from consumers.runtime.memory import Failure, MemoryLog, MemoryTransport
from consumers.runtime.metrics import StageMetrics
from consumers.runtime.settings import WorkerSettings
from consumers.runtime.worker import Worker
from schemas.codec import decode, encode
from schemas.errors import TransactionAbortedError
from schemas.events import ItemFactors, ProductCreated, UserHistory, UserUpdated

SETTINGS = ItemFactorSettings(factors=4, regularisation=1.0, tolerance=0.0, item_ridge=1.0)
QUICK = WorkerSettings(backoff_base_seconds=1e-6, backoff_cap_seconds=1e-6)
USERS = {f"u{number}": "abc" if number % 2 else "def" for number in range(8)}


class Shop:
    """Histories on a log in memory, the stage that learns from them, and a reader of what it publishes."""

    def __init__(self) -> None:
        self.log = MemoryLog(partitions=2)
        self.start()

    def start(self) -> None:
        stage = ItemFactorsStage(SETTINGS)
        tables = [topic.name for topic in stage.spec.tables]
        self.transport = MemoryTransport(self.log, "item-factors", ["interaction-state"], tables, sole_owner=True)
        self.metrics = StageMetrics("item-factors")
        self.worker = Worker(stage, self.transport, settings=QUICK, metrics=self.metrics)

    def restart(self) -> None:
        self.transport.kill()
        self.start()

    def visit(self, **visits: str) -> None:
        for user, products in visits.items():
            count = len(products)
            state = UserHistory(
                user, range(count), range(count), list(products), [0] * count, [1.0] * count, (), 0
            )
            self.log.append("interaction-state", user.encode(), encode(state))

    def settle(self) -> None:
        quiet = 0
        while quiet < 5:
            worked = self.worker.run_once(timeout_ms=0)
            quiet = 0 if worked or not self.worker.idle else quiet + 1

    def refit(self, **options: Any) -> RefitReport:
        return run_refit(MemoryRefitLog(self.log), SETTINGS, **options)

    def published(self) -> dict[str, ItemFactors]:
        table = self.log.table("item-factors").items()
        return {key.decode(): cast(ItemFactors, decode("item-factors", value)) for key, value in table}

    def generations(self) -> set[int]:
        return {factors.generation for factors in self.published().values()}

    def taken_up(self, generation: int) -> bool:
        return taken_up([self.log.records("item-factors")], generation)


@pytest.fixture
def shop() -> Shop:
    made = Shop()
    made.visit(**USERS)
    made.settle()
    return made


def test_a_refit_is_taken_up_whole_and_learning_goes_on_from_it(shop: Shop) -> None:
    assert shop.generations() == {0}
    report = shop.refit()
    assert (report.generation, report.users, report.items) == (1, 8, 6)
    assert report.converged
    assert report.loss_after <= report.loss_before + 1e-9
    assert shop.generations() == {0}
    shop.settle()
    assert shop.generations() == {1}
    assert {factors.generation_items for factors in shop.published().values()} == {6}
    shop.visit(u9="abx")
    shop.settle()
    assert shop.published()["x"].generation == 1
    assert shop.published()["x"].generation_items == 0
    assert shop.published()["a"].generation_items == 6
    assert shop.taken_up(1)
    assert shop.metrics.registry.get_sample_value("recsys_factor_generation", {"stage": "item-factors"}) == 1
    assert not shop.taken_up(2)


def test_a_second_refit_finds_nothing_to_better(shop: Shop) -> None:
    shop.refit()
    shop.settle()
    again = shop.refit()
    assert again.generation == 2
    assert again.loss_after == pytest.approx(again.loss_before, rel=1e-3)
    shop.settle()
    assert shop.generations() == {2}


def test_products_that_came_while_it_was_fitted_get_vectors_in_the_new_space(shop: Shop) -> None:
    shop.refit()
    shop.visit(u20="abz", u21="abz", u22="abz")
    shop.settle()
    vectors = {name: np.frombuffer(one.vector, "<f4") for name, one in shop.published().items()}
    assert shop.generations() == {1}
    assert vectors["z"] @ vectors["a"] > 3 * abs(vectors["z"] @ vectors["d"])


def test_features_are_read_and_new_products_have_vectors(shop: Shop) -> None:
    for product_id in "abcdefn":
        event = ProductCreated(product_id, 1, category="left" if product_id in "abcn" else "right")
        shop.log.append("product-created", product_id.encode(), encode(event))
    for user, products in USERS.items():
        shop.log.append("user-updated", user.encode(), encode(UserUpdated(user, 1, {"likes": products[0]})))
    shop.settle()
    report = shop.refit()
    assert report.items == 7
    shop.settle()
    vectors = {name: np.frombuffer(one.vector, "<f4") for name, one in shop.published().items()}
    assert vectors["n"] @ vectors["a"] > 2 * abs(vectors["n"] @ vectors["d"])


@cache
def calm() -> Shop:
    """A shop where nothing went wrong."""
    made = Shop()
    made.visit(**USERS)
    made.settle()
    made.refit()
    made.settle()
    return made


@settings(max_examples=12)
@given(
    failures=st.lists(st.sampled_from(["before", "after"]), max_size=2), restart=st.booleans(), away=st.booleans()
)
def test_a_crash_anywhere_leaves_what_a_calm_run_leaves(
    failures: list[Failure], restart: bool, away: bool
) -> None:
    stormy = Shop()
    stormy.visit(**USERS)
    stormy.settle()
    if away:
        stormy.transport.kill()
    stormy.refit()
    if away:
        stormy.start()
    stormy.log.fail_next_commit(*failures)
    stormy.settle()
    if restart:
        stormy.restart()
        stormy.settle()
    wanted, found = calm().published(), stormy.published()
    assert found.keys() == wanted.keys()
    for name, factors in found.items():
        assert (factors.generation, factors.generation_items) == (1, 6)
        assert factors.vector == wanted[name].vector
    assert len(stormy.log.records("item-factors")) == len(calm().log.records("item-factors")), "each once"


def test_a_refit_whose_transaction_is_lost_changes_nothing(shop: Shop) -> None:
    shop.log.fail_next_commit("before")
    with pytest.raises(TransactionAbortedError):
        shop.refit()
    shop.settle()
    assert shop.generations() == {0}
    assert shop.refit().generation == 1


def test_a_dry_run_publishes_nothing(shop: Shop) -> None:
    said: list[tuple[str, int, int]] = []
    shop.refit(publish=False, on_progress=lambda *doing: said.append(doing))
    assert not shop.log.records("refit-factors")
    assert said[-1] == ("fitting", 50, 50)


def test_a_shop_without_visits_has_nothing_to_refit() -> None:
    with pytest.raises(NothingToRefitError, match="nothing to fit"):
        Shop().refit()


def test_a_restart_does_not_go_over_again(shop: Shop) -> None:
    shop.refit()
    shop.settle()
    before = len(shop.log.records("item-factors"))
    shop.restart()
    shop.settle()
    assert len(shop.log.records("item-factors")) == before


def test_units_are_weighed_by_what_all_histories_say_is_much() -> None:
    """The first history that is read counts by the last too, so a refit does not depend on their order."""
    settings = SETTINGS.model_copy(update={"quantities": "min-max"})
    losses = []
    for order in (1, -1):
        log = MemoryLog(partitions=1)
        for number in range(1, 6)[::order]:
            user = f"u{number}"
            state = UserHistory(user, [1, 2], [1, 2], ["a", "b"], [2, 2], [1.0 * number, 2.0], (), 0)
            log.append("interaction-state", user.encode(), encode(state))
        losses.append(run_refit(MemoryRefitLog(log), settings).loss_after)
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_parts_are_small_and_give_the_same_again() -> None:
    ids = [f"product-{number}" * 10 for number in range(3_000)]
    found = ItemVectors(3, ids, np.random.default_rng(1).normal(size=(3_000, 64)).astype(np.float32), 9)
    parts = list(cut(found))
    assert len(parts) > 2
    assert max(len(encode(part)) for part in parts) < 600_000
    gathered = RefitParts()
    for part in reversed(parts):
        assert gathered.complete(after=0) is None
        gathered.take(part)
    again = gathered.complete(after=2)
    assert again is not None
    assert again.product_ids == ids
    assert (again.vectors == found.vectors).all()
    assert gathered.complete(after=3) is None
    gathered.let_go(3)
    assert gathered.complete(after=0) is None
