"""What the interactions stage keeps: the same however its input is cut, and nothing of who is forgotten."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.interactions.settings import BlendSettings, InteractionSettings
from consumers.interactions.stage import InteractionsStage
from consumers.runtime.memory import MemoryLog, MemoryTransport
from consumers.runtime.outbox import Outbox
from consumers.runtime.records import Message, Record, TopicPartition
from consumers.runtime.settings import WorkerSettings
from consumers.runtime.worker import Worker
from schemas.codec import decode, encode, topic_of
from schemas.events import (
    CartAdd,
    CoVisits,
    Event,
    ItemState,
    PdpView,
    ProductCreated,
    Purchase,
    RecommendationUpdated,
    UserHistory,
    UserUpdated,
)
from schemas.keys import key_of

PRODUCTS = "abcdp"
SETTINGS = InteractionSettings(max_events=6, list_length=3, max_relisted=1, blend=BlendSettings(sessions=0))
"""Without the sessions of others: a list follows from those that there were when it was made."""


def row(product_id: str) -> ItemState:
    """Every product is viewed with every other."""
    others = tuple(sorted(set(PRODUCTS) - {product_id}))
    strengths = tuple(float(5 - place) for place in range(len(others)))
    none = (0.0,) * len(others)
    return ItemState(product_id, 0, 1.0, 5.0, 0.0, others, strengths, none, none, 1, (), (), 1)


class Shop:
    """A log in memory, and the stage on it, which can be killed and started again."""

    def __init__(self, max_batch_records: int = 100) -> None:
        self.log = MemoryLog(partitions=2, now_ms=5_000)
        self._max_batch_records = max_batch_records
        for product_id in PRODUCTS:
            self.publish(ProductCreated(product_id, 1), row(product_id))
        self.start()

    def start(self) -> None:
        self.stage = InteractionsStage(SETTINGS)
        spec = self.stage.spec
        inputs, tables = [topic.name for topic in spec.inputs], [topic.name for topic in spec.tables]
        self.transport = MemoryTransport(self.log, "interactions", inputs, tables)
        worker = WorkerSettings(
            max_batch_records=self._max_batch_records, backoff_base_seconds=1e-6, backoff_cap_seconds=1e-6
        )
        self.worker = Worker(self.stage, self.transport, settings=worker)

    def restart(self) -> None:
        self.transport.kill()
        self.start()

    def publish(self, *events: Event) -> None:
        for event in events:
            self.log.append(topic_of(event).name, key_of(event).encode(), encode(event))

    def forget(self, user: str) -> None:
        self.log.append("user-updated", user.encode(), None)

    def retire(self, product_id: str) -> None:
        self.log.append("product-created", product_id.encode(), None)

    def settle(self) -> None:
        quiet = 0
        while quiet < 5:
            worked = self.worker.run_once(timeout_ms=0)
            quiet = 0 if worked or not self.worker.idle else quiet + 1

    def updates(self) -> dict[str, RecommendationUpdated]:
        table = self.log.table("recommendation-updated").items()
        return {k.decode(): cast(RecommendationUpdated, decode("recommendation-updated", v)) for k, v in table}

    def lists(self) -> dict[str, list[str]]:
        return {key: [item.product_id for item in update.items] for key, update in self.updates().items()}

    def histories(self) -> dict[str, UserHistory]:
        """As they are in the changelog, apart from the lists, whose revisions depend on the batches."""
        table = self.log.table("interaction-state").items()
        states = {key.decode(): cast(UserHistory, decode("interaction-state", value)) for key, value in table}
        return {key: replace(state, listed=(), revision=0) for key, state in states.items()}

    def sums(self) -> dict[tuple[str, str, int], float]:
        totals: dict[tuple[str, str, int], float] = {}
        for record in self.log.records("co-visits"):
            message = cast(CoVisits, decode("co-visits", cast(bytes, record.value)))
            visits = zip(message.visit_actions, message.visit_weights, strict=True)
            columns = zip(
                message.companion_ids, message.companion_relations, message.companion_strengths, strict=True
            )
            keyed = [(("", action), weight) for action, weight in visits]
            keyed += [((name, relation), strength) for name, relation, strength in columns]
            for (name, number), value in keyed:
                key = (message.product_id, name, number)
                totals[key] = totals.get(key, 0.0) + value
        return {key: value for key, value in totals.items() if abs(value) > 1e-9}


def view(event_id: str, user: str, product_id: str, at_ms: int = 2_000) -> PdpView:
    return PdpView(event_id, at_ms, user, None, product_id)


def event_of(number: int, user: str, product_id: str, at_ms: int, action: str) -> Event:
    who = (f"e{number}", at_ms, user, None, product_id)
    if action == "view":
        return PdpView(*who)
    return CartAdd(*who, 2.0) if action == "cart" else Purchase(*who, -1.0 if action == "return" else 3.0)


scripts = st.lists(
    st.tuples(
        st.integers(0, 12),
        st.sampled_from("uvw"),
        st.sampled_from("abcx"),
        st.integers(0, 3_000),
        st.sampled_from(["view", "view", "cart", "buy", "return"]),
    ),
    max_size=14,
)


@given(scripts, st.integers(2, 5))
def test_a_batch_equals_one_by_one(script: list[tuple[int, str, str, int, str]], max_batch_records: int) -> None:
    singly, batched = Shop(max_batch_records=1), Shop(max_batch_records)
    for shop in (singly, batched):
        # On one topic, for batches take topics in another order.
        events = [event_of(*step) for step in script]
        shop.publish(*(event for event in events if isinstance(event, PdpView)))
        shop.settle()
        shop.publish(*(event for event in events if isinstance(event, Purchase)))
        shop.settle()
    assert batched.histories() == singly.histories()
    assert batched.sums() == pytest.approx(singly.sums())
    assert batched.lists() == singly.lists()
    assert batched.worker.processed == singly.worker.processed


@given(scripts, st.randoms(use_true_random=False))
def test_the_order_of_arrival_across_shoppers_does_not_matter(
    script: list[tuple[int, str, str, int, str]], random: Random
) -> None:
    """Whose come first changes neither states nor sums; each shopper's own come in the same order."""
    turns = [user for _, user, *_ in script]
    random.shuffle(turns)
    waiting = {user: iter([step for step in script if step[1] == user]) for user in turns}
    as_given, shuffled = Shop(3), Shop(3)
    as_given.publish(*(event_of(*step) for step in script))
    shuffled.publish(*(event_of(*next(waiting[user])) for user in turns))
    for shop in (as_given, shuffled):
        shop.settle()
    assert shuffled.histories() == as_given.histories()
    assert shuffled.sums() == pytest.approx(as_given.sums())


@given(scripts)
def test_forgetting_a_user_equals_never_having_seen_them(script: list[tuple[int, str, str, int, str]]) -> None:
    forgetful, innocent = Shop(), Shop()
    events = [event_of(*step) for step in script]
    forgetful.publish(*events)
    innocent.publish(*(event for event in events if key_of(event) != "u"))
    forgetful.settle()
    forgetful.forget("u")
    forgetful.settle()
    forgetful.restart()
    for shop in (forgetful, innocent):
        shop.settle()
        shop.publish(view("again", "u", "b"))
        shop.settle()
    assert forgetful.histories() == innocent.histories()
    assert forgetful.lists() == innocent.lists()


def test_a_user_who_comes_back_in_the_batch_that_forgets_them_begins_anew() -> None:
    shop, out = Shop(), Outbox("interactions")
    shop.publish(view("e1", "u", "a"))
    shop.settle()
    values = [view("e2", "u", "b"), None, view("e3", "u", "c")]
    topics = ["pdp-view" if value is not None else "user-updated" for value in values]
    at = next(partition for partition in (0, 1) if shop.log.slice(TopicPartition("pdp-view", partition), 0))
    shop.stage.process(
        [
            Message(topic, at, number, 6_000, "u", value, Record(topic, at, number, 6_000, b"u", b"", ()))
            for number, (topic, value) in enumerate(zip(topics, values, strict=True))
        ],
        out,
    )
    first, *later = (record.value for record in out.records if record.topic == "interaction-state")
    assert first is None
    (state,) = (cast(UserHistory, decode("interaction-state", cast(bytes, value))) for value in later)
    assert list(state.product_ids) == ["c"]


@pytest.mark.parametrize("restarted", [False, True])
def test_what_came_before_the_request_and_is_read_after_it_is_left_out(restarted: bool) -> None:
    shop = Shop()
    shop.forget("u")
    shop.settle()
    if restarted:
        shop.restart()
    shop.log.now_ms -= 1
    shop.publish(view("late", "u", "a"))
    shop.log.now_ms += 1
    shop.publish(view("back", "u", "b"), view("other", "v", "a"))
    shop.settle()
    assert {user: list(state.product_ids) for user, state in shop.histories().items()} == {"u": ["b"], "v": ["a"]}
    assert shop.worker.processed["pdp-view", "forgotten"] == 1


def test_what_is_known_of_a_user_is_no_event() -> None:
    shop = Shop()
    shop.publish(UserUpdated("u", 1, {"city": "Ghent"}))
    shop.settle()
    assert shop.lists() == {}
    state = shop.histories()["u"]
    assert (list(state.product_ids), state.attributes) == ([], {"city": "Ghent"})
    assert shop.worker.processed["user-updated", "processed"] == 1
    shop.publish(UserUpdated("u", 2, {"city": "Ghent"}))
    shop.settle()
    assert len(shop.log.records("interaction-state")) == 1, "nothing new is known"


def test_what_was_bought_is_left_out_and_comes_back_with_a_return() -> None:
    shop = Shop()
    shop.publish(view("e1", "u", "p"), Purchase("e2", 2_001, "u", None, "a"))
    shop.settle()
    assert shop.lists() == {"for-you:u": ["b", "c", "d"]}
    shop.publish(Purchase("e3", 2_002, "u", None, "a", -1.0))
    shop.settle()
    assert "a" in shop.lists()["for-you:u"]


def test_events_about_unknown_products_count_and_are_listed_once_they_are_created() -> None:
    shop = Shop()
    shop.publish(view("e1", "u", "new"), replace(row("new"), companion_ids=("x", "a", "b", "c", "d")))
    shop.settle()
    assert shop.lists() == {"for-you:u": ["a", "b", "c"]}
    shop.publish(ProductCreated("x", 3), view("e2", "u", "new"))
    shop.settle()
    assert shop.lists() == {"for-you:u": ["x", "a", "b"]}


def test_lists_that_hold_a_product_out_of_stock_are_made_anew_one_a_round_and_over_a_restart() -> None:
    shop = Shop()
    shop.publish(*(view(f"e{user}", user, "p") for user in "tuvw"))
    shop.settle()
    assert all("a" in listed for listed in shop.lists().values())
    shop.publish(ProductCreated("a", 9, in_stock=False))
    shop.worker.run_once(timeout_ms=0)
    renewed = [key for key, listed in shop.lists().items() if "a" not in listed]
    assert 1 <= len(renewed) < 4, "a bounded number a round"
    shop.restart()
    shop.settle()
    assert set(map(tuple, shop.lists().values())) == {("b", "c", "d")}
    assert {update.caused_by for update in shop.updates().values()} == {"product-created/a"}
    assert {update.revision for update in shop.updates().values()} == {2}


def test_a_product_retired_while_the_stage_was_down_leaves_the_lists_with_its_cause() -> None:
    shop = Shop()
    shop.publish(view("e1", "u", "p"))
    shop.settle()
    shop.transport.kill()
    shop.log.now_ms = 7_000
    shop.retire("a")
    shop.start()
    shop.settle()
    update = shop.updates()["for-you:u"]
    assert [item.product_id for item in update.items] == ["b", "c", "d"]
    assert (update.caused_by, update.caused_at_ms) == ("product-created/a", 7_000)


def test_a_list_that_has_nothing_left_is_withdrawn() -> None:
    shop = Shop()
    shop.publish(view("e1", "u", "p"))
    shop.settle()
    for product_id in "abcd":
        shop.retire(product_id)
    shop.settle()
    assert shop.lists() == {}
    shop.publish(ProductCreated("d", 4), view("e2", "u", "p"))
    shop.settle()
    assert shop.updates()["for-you:u"].revision > 2


def test_a_list_is_published_only_where_it_changed() -> None:
    shop = Shop()
    for number in range(3):
        shop.publish(view(f"e{number}", "u", "p", 2_000 + number))
        shop.settle()
    assert len(shop.log.records("recommendation-updated")) == 1
    assert len(shop.log.records("interaction-state")) == 3


def test_late_events_take_their_place_and_duplicates_change_nothing_even_after_a_restart() -> None:
    shop = Shop()
    shop.publish(view("e1", "u", "a", 3_000), view("e2", "u", "b", 1_000))
    shop.settle()
    shop.restart()
    shop.publish(view("e1", "u", "a", 3_000))
    shop.settle()
    assert list(shop.histories()["u"].product_ids) == ["b", "a"]
    assert shop.worker.processed["pdp-view", "duplicate"] == 1
    assert len(shop.log.records("co-visits")) == 2
