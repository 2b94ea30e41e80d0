from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.outcomes.settings import OutcomeSettings
from consumers.outcomes.stage import OutcomesStage
from consumers.runtime.memory import MemoryLog, MemoryTransport
from consumers.runtime.metrics import StageMetrics
from consumers.runtime.settings import WorkerSettings
from consumers.runtime.worker import Worker
from schemas.codec import decode, encode, topic_of
from schemas.events import CartAdd, Click, Event, Impression, Purchase, RecommendationOutcome
from schemas.keys import key_of

SHELF = "similar.3.0a1b2c3d"


class Shop:
    """A log in memory, and the stage on it, which can be killed and started again."""

    def __init__(self, stage_settings: OutcomeSettings | None = None) -> None:
        self.log = MemoryLog(partitions=2, now_ms=10_000)
        self._settings = stage_settings
        self.start()

    def start(self) -> None:
        self.stage = OutcomesStage(self._settings)
        names = [topic.name for topic in self.stage.spec.inputs]
        self.transport = MemoryTransport(self.log, "outcomes", names)
        self.metrics = StageMetrics("outcomes")
        worker = WorkerSettings(backoff_base_seconds=1e-6, backoff_cap_seconds=1e-6)
        self.worker = Worker(self.stage, self.transport, metrics=self.metrics, settings=worker)

    def restart(self) -> None:
        self.transport.kill()
        self.start()

    def publish(self, *events: Event) -> None:
        for event in events:
            self.log.append(topic_of(event).name, key_of(event).encode(), encode(event))

    def settle(self) -> None:
        quiet = 0
        while quiet < 3:
            worked = self.worker.run_once(timeout_ms=0)
            quiet = 0 if worked or not self.worker.idle else quiet + 1

    def outcomes(self) -> dict[str, RecommendationOutcome]:
        table = self.log.table("recommendation-outcomes").items()
        read = {key.decode(): decode("recommendation-outcomes", value) for key, value in table}
        return cast("dict[str, RecommendationOutcome]", read)

    def count(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, {"stage": "outcomes", **labels}) or 0.0


def impression(user: str, at_ms: int) -> Impression:
    return Impression(f"i{user}{at_ms}", at_ms, user, None, "p", SHELF, "home", "similar", 1, "test:b")


def click(user: str, at_ms: int, product: str = "p", placement: str = "home") -> Click:
    event_id = f"c{user}{at_ms}{product}"
    return Click(event_id, at_ms, user, None, product, SHELF, placement, "similar", 1, "test:b", "looks-like")


def purchase(user: str, at_ms: int, quantity: float = 1.0) -> Purchase:
    return Purchase(f"b{user}{at_ms}{quantity}", at_ms, user, None, "p", quantity, 5.0)


def test_a_purchase_that_comes_before_its_click_is_put_down_to_it_once_that_comes() -> None:
    shop = Shop()
    shop.publish(purchase("u", 9))
    shop.settle()
    assert shop.outcomes() == {}
    shop.publish(click("u", 5), impression("u", 3), CartAdd("a", 7, "u", None, "p"))
    shop.settle()
    found = shop.outcomes()
    assert {outcome.outcome: outcome.revenue for outcome in found.values()} == {
        "click": 0.0,
        "cart-add": 0.0,
        "purchase": 5.0,
    }
    bought = found["bu91.0"]
    assert (bought.subject, bought.variant, bought.rank, bought.impression_time_ms) == ("u", "test:b", 1, 3)
    assert bought.reason == "looks-like"
    labels = {"kind": "similar", "placement": "home", "variant": "test:b", "reason": "looks-like"}
    assert shop.count("recsys_outcomes_total", outcome="purchase", **labels)


def test_revenue_is_counted_and_what_returns_take_back() -> None:
    shop = Shop()
    shop.publish(click("u", 1), purchase("u", 2, 3.0), purchase("u", 8, -1.0))
    shop.settle()
    labels = {"kind": "similar", "placement": "home", "variant": "test:b", "reason": "looks-like"}
    assert shop.count("recsys_outcome_revenue_total", **labels) == 15.0
    assert shop.count("recsys_outcome_returned_revenue_total", **labels) == 5.0
    shop.publish(purchase("u", 2, 3.0))
    shop.settle()
    assert shop.count("recsys_events_total", topic="purchase", outcome="duplicate") == 1.0
    assert shop.count("recsys_outcome_revenue_total", **labels) == 15.0


def test_what_browsers_send_makes_a_bounded_number_of_series() -> None:
    shop = Shop(OutcomeSettings(max_labels=2))
    strange = Click("x", 50, "u", None, "p", "no-kind", "p2", "", 0, "test:b", "no reason")
    shop.publish(*(click("u", at_ms, placement=f"p{at_ms}") for at_ms in range(9)), strange)
    shop.settle()
    labels = {"outcome": "click", "kind": "similar", "variant": "test:b", "reason": "looks-like"}
    assert shop.count("recsys_outcomes_total", placement="other", **labels) == 7.0
    assert (
        shop.count("recsys_outcomes_total", placement="other", **{**labels, "kind": "other", "reason": "other"})
        == 1.0
    )


def test_a_user_who_is_forgotten_takes_outcomes_along() -> None:
    shop = Shop()
    shop.publish(click("u", 1), purchase("u", 2), click("v", 1))
    shop.settle()
    shop.log.append("user-updated", b"u", None)
    shop.settle()
    assert {outcome.subject for outcome in shop.outcomes().values()} == {"v"}
    assert set(shop.log.table("outcome-state")) == {b"v"}
    shop.restart()
    shop.settle()
    assert shop.stage.journey("u") is None
    assert shop.stage.journey("v") is not None
    shop.log.now_ms -= 1
    shop.publish(click("u", 5))
    shop.settle()
    assert shop.stage.journey("u") is None, "what came before the request and is read after it is left out"
    assert shop.worker.processed["click", "forgotten"] == 1


@pytest.mark.parametrize("restarted", [False, True])
def test_shoppers_beyond_the_bound_are_forgotten_the_one_longest_away_first(restarted: bool) -> None:
    shop = Shop(OutcomeSettings(max_shoppers=1))
    shoppers = ["u", "v", "w", "x"]
    for at_ms, shopper in enumerate(shoppers):
        shop.publish(click(shopper, at_ms))
        if restarted:
            shop.restart()
        shop.settle()
    kept = set(shop.log.table("outcome-state"))
    assert b"x" in kept
    assert len(kept) <= 2  # one a partition
    assert {key for key in map(str.encode, shoppers) if shop.stage.journey(key.decode())} == kept


_step = st.tuples(
    st.sampled_from(["impression", "click", "buy", "return", "cart"]), st.sampled_from("uv"), st.integers(0, 20)
)


def event_of(step: tuple[str, str, int]) -> Event:
    name, user, at_ms = step
    if name == "cart":
        return CartAdd(f"a{user}{at_ms}", at_ms, user, None, "p")
    if name in ("buy", "return"):
        return purchase(user, at_ms, 2.0 if name == "buy" else -1.0)
    return impression(user, at_ms) if name == "impression" else click(user, at_ms)


@given(st.lists(st.tuples(st.lists(_step, max_size=4), st.sampled_from(["", "before", "after"])), max_size=5))
def test_a_crash_leaves_what_no_crash_leaves_and_a_replay_changes_nothing(
    script: list[tuple[list[tuple[str, str, int]], str]],
) -> None:
    calm, stormy = Shop(), Shop()
    for steps, failure in script:
        for shop in (calm, stormy):
            shop.publish(*map(event_of, steps))
        calm.settle()
        if failure:
            stormy.log.fail_next_commit(failure)  # type: ignore[arg-type]
        stormy.settle()
        if failure:
            stormy.restart()
            stormy.settle()
    assert stormy.outcomes() == calm.outcomes()
    assert stormy.log.table("outcome-state") == calm.log.table("outcome-state")
    written = len(calm.log.records("recommendation-outcomes"))
    calm.publish(*(event_of(step) for steps, _ in script for step in steps))
    calm.settle()
    assert len(calm.log.records("recommendation-outcomes")) == written
    at_once = Shop()
    at_once.publish(*(event_of(step) for steps, _ in script for step in steps))
    at_once.settle()
    final = {key: replace(outcome, revision=1) for key, outcome in calm.outcomes().items()}
    assert {key: replace(outcome, revision=1) for key, outcome in at_once.outcomes().items()} == final
