from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.interactions.stage import InteractionsStage
from consumers.runtime.memory import MemoryLog, MemoryTransport
from consumers.runtime.worker import Worker, WorkerSettings
from schemas.codec import decode, encode
from schemas.events import (
    CoVisits,
    ItemState,
    ListedProduct,
    PdpView,
    ProductCreated,
    RecommendationUpdated,
    UserHistory,
)
from schemas.keys import key_of


class Shop:
    """A log in memory, and the stage on it."""

    def __init__(self) -> None:
        self.log = MemoryLog(partitions=2, now_ms=5_000)
        for product_id in "abp":
            self.log.append("product-created", product_id.encode(), encode(ProductCreated(product_id, 1)))
        row = ItemState("p", 0, 1.0, 5.0, 0.0, ("a", "b"), (2.0, 1.0), (0.0, 0.0), (0.0, 0.0), 1, (), (), 1)
        self.log.append("item-state", b"p", encode(row))
        self.start()
        self.settle()

    def start(self) -> None:
        stage = InteractionsStage()
        spec = stage.spec
        inputs, tables = [t.name for t in spec.inputs], [t.name for t in spec.tables]
        self.transport = MemoryTransport(self.log, "interactions", inputs, tables)
        quick = WorkerSettings(backoff_base_seconds=1e-6, backoff_cap_seconds=1e-6)
        self.worker = Worker(stage, self.transport, settings=quick)

    def view(self, event_id: str, user: str | None, product_id: str = "p", at_ms: int = 2_000) -> None:
        event = PdpView(
            event_id=event_id, product_id=product_id, user_id=user, session_id="s", event_time_ms=at_ms
        )
        self.log.append("pdp-view", key_of(event).encode(), encode(event))

    def settle(self) -> None:
        quiet = 0
        while quiet < 5:
            worked = self.worker.run_once(timeout_ms=0)
            quiet = 0 if worked or not self.worker.idle else quiet + 1

    def lists(self) -> dict[str, list[str]]:
        return {key: [item.product_id for item in update.items] for key, update in self.updates().items()}

    def updates(self) -> dict[str, RecommendationUpdated]:
        table = self.log.table("recommendation-updated")
        return {
            key.decode(): cast(RecommendationUpdated, decode("recommendation-updated", value))
            for key, value in table.items()
        }

    def histories(self) -> dict[str, UserHistory]:
        table = self.log.table("interaction-state")
        states = {k.decode(): cast(UserHistory, decode("interaction-state", v)) for k, v in table.items()}
        return {key: replace(state, listed=(), revision=0) for key, state in states.items()}

    def sums(self) -> dict[tuple[str, str, int], float]:
        totals: dict[tuple[str, str, int], float] = {}
        for record in self.log.records("co-visits"):
            message = cast(CoVisits, decode("co-visits", cast(bytes, record.value)))
            own = (message.product_id, "", -1)
            totals[own] = totals.get(own, 0.0) + len(message.visit_actions)
            columns = (message.companion_ids, message.companion_relations, message.companion_strengths)
            for companion, relation, strength in zip(*columns, strict=True):
                key = (message.product_id, companion, int(relation))
                totals[key] = totals.get(key, 0.0) + strength
        return totals


def test_a_view_leads_to_a_list_and_counts_once() -> None:
    shop = Shop()
    shop.view("e1", "u")
    shop.view("e1", "u")
    shop.settle()
    assert shop.lists() == {"for-you:u": ["a", "b"]}
    assert shop.updates()["for-you:u"].caused_by == "pdp-view/e1"
    assert shop.worker.processed["pdp-view", "duplicate"] == 1


def test_a_guest_is_known_by_the_session() -> None:
    shop = Shop()
    shop.view("e1", None)
    shop.settle()
    assert set(shop.lists()) == {"for-you:s"}


def test_a_retired_product_leaves_the_lists() -> None:
    shop = Shop()
    shop.view("e1", "u")
    shop.settle()
    shop.log.append("product-created", b"a", None)
    shop.settle()
    assert shop.lists() == {"for-you:u": ["b"]}


def test_a_forgotten_user_leaves_nothing() -> None:
    shop = Shop()
    shop.view("e1", "u")
    shop.settle()
    shop.log.append("user-updated", b"u", None)
    shop.settle()
    assert shop.lists() == shop.histories() == {}


steps = st.tuples(
    st.sampled_from(["u", "v"]),
    st.sampled_from("abp"),
    st.integers(0, 4_000),
    st.sampled_from(["nothing", "before", "after", "kill"]),
)


@given(st.lists(steps, min_size=1, max_size=10))
def test_crashes_anywhere_lead_to_the_same_tables(script: list[tuple[str, str, int, str]]) -> None:
    calm, stormy = Shop(), Shop()
    for number, (user, product_id, at_ms, mishap) in enumerate(script):
        for shop in (calm, stormy):
            shop.view(f"e{number}", user, product_id, at_ms)
        calm.settle()
        if mishap == "kill":
            stormy.worker.run_once(timeout_ms=0)
            stormy.transport.kill()
            stormy.start()
        elif mishap == "before":
            stormy.log.fail_next_commit("before")
        elif mishap == "after":
            stormy.log.fail_next_commit("after")
        stormy.settle()
    assert stormy.histories() == calm.histories()
    assert stormy.sums() == pytest.approx(calm.sums(), abs=1e-6)
    assert stormy.lists() == calm.lists()


def test_an_event_beyond_the_retention_is_expired_and_one_of_the_future_refused() -> None:
    shop = Shop()
    year_ms = 365 * 86_400_000
    shop.log.now_ms = 2 * year_ms
    shop.view("e1", "u", at_ms=2 * year_ms)
    shop.view("e2", "u", at_ms=1)
    shop.view("e3", "u", at_ms=3 * year_ms)
    shop.settle()
    assert shop.worker.processed["pdp-view", "expired"] == 1
    assert len(shop.log.records("dead-letter")) == 1
    assert len(shop.histories()["u"].event_hashes) == 1


def test_what_shoppers_do_next_is_measured_by_the_list_published_before() -> None:
    shop = Shop()
    listed = [ListedProduct(product_id, 1.0, "popular") for product_id in "pb"]
    update = RecommendationUpdated("popular", "", 1, listed, 1, "x", 1)
    shop.log.append("recommendation-updated", b"popular:", encode(update))
    shop.settle()
    seen: Counter[tuple[str, ...]] = Counter()
    shop.worker._metrics.observed = seen.update  # type: ignore[method-assign]
    shop.view("e1", "u")
    shop.settle()
    assert not seen, "there was no list before"
    assert shop.lists()["for-you:u"][:2] == ["a", "b"]
    for event_id, product_id in (("e2", "b"), ("e2", "b"), ("e3", "p")):
        shop.view(event_id, "u", product_id)
    shop.settle()
    hits = {
        ("list_hits", "for-you", "", "2-5"): 2,
        ("list_hits", "popular", "", "1"): 1,
        ("list_hits", "popular", "", "2-5"): 1,
        ("list_hits", "trending", "", "missed"): 2,
    }
    reciprocal_ranks = {
        ("list_reciprocal_ranks", "for-you", ""): pytest.approx(1 / 2 + 1 / 3),
        ("list_reciprocal_ranks", "popular", ""): 1.5,
    }
    assert seen == hits | reciprocal_ranks, "the event that came twice counts once"
