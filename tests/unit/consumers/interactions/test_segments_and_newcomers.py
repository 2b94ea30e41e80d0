"""Segments of users: what their users visit, and the lists of those of whom only the profile is known."""

from __future__ import annotations

from collections import Counter
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.interactions.newcomers import Newcomers
from consumers.interactions.settings import InteractionSettings
from consumers.interactions.stage import InteractionsStage
from consumers.runtime.memory import MemoryLog, MemoryTransport
from consumers.runtime.worker import Worker, WorkerSettings
from schemas.codec import decode, encode, topic_of
from schemas.events import (
    Event,
    Kind,
    ListedProduct,
    PdpView,
    ProductCreated,
    Reason,
    RecommendationUpdated,
    SegmentVisits,
    UserHistory,
    UserUpdated,
)
from schemas.keys import key_of

SETTINGS = InteractionSettings(segment_attribute="city", max_newcomers=2)


class Shop:
    """A log in memory, and the stage on it."""

    def __init__(self) -> None:
        self.log = MemoryLog(partitions=2, now_ms=5_000)
        self.publish(*(ProductCreated(product_id, 1) for product_id in "abcp"))
        self.start()

    def start(self) -> None:
        self.stage = InteractionsStage(SETTINGS)
        spec = self.stage.spec
        inputs, tables = [topic.name for topic in spec.inputs], [topic.name for topic in spec.tables]
        self.transport = MemoryTransport(self.log, "interactions", inputs, tables)
        quick = WorkerSettings(backoff_base_seconds=1e-6, backoff_cap_seconds=1e-6)
        self.worker = Worker(self.stage, self.transport, settings=quick)
        self.seen: Counter[tuple[str, ...]] = Counter()
        self.worker._metrics.observed = self.seen.update  # type: ignore[method-assign]

    def publish(self, *events: Event) -> None:
        for event in events:
            self.log.append(topic_of(event).name, key_of(event).encode(), encode(event))

    def popular(self, subject: str, *product_ids: str, kind: str = Kind.POPULAR) -> None:
        listed = [ListedProduct(product_id, 1.0, kind) for product_id in product_ids]
        self.publish(RecommendationUpdated(kind, subject, 1, listed, 1, "x", 1))

    def view(self, event_id: str, user: str, product_id: str) -> None:
        self.publish(PdpView(event_id, 2_000, user, None, product_id))

    def settle(self) -> None:
        quiet = 0
        while quiet < 5:
            worked = self.worker.run_once(timeout_ms=0)
            quiet = 0 if worked or not self.worker.idle else quiet + 1

    def for_you(self, user: str) -> list[str]:
        data = self.log.table("recommendation-updated").get(f"for-you:{user}".encode())
        listed = None if data is None else cast(RecommendationUpdated, decode("recommendation-updated", data))
        return [] if listed is None else [item.product_id for item in listed.items]

    def segment_visits(self) -> list[SegmentVisits]:
        records = self.log.records("segment-visits")
        return [cast(SegmentVisits, decode("segment-visits", cast(bytes, record.value))) for record in records]


def test_visits_are_told_by_segment_once_a_batch() -> None:
    shop = Shop()
    shop.publish(*(UserUpdated(user, 1, {"city": "Ghent", "age": "30"}) for user in "uv"), UserUpdated("w", 1, {}))
    shop.settle()
    for number, user in enumerate("uvw"):
        shop.view(f"e{number}", user, "ab"[number % 2])
        shop.view(f"e{number}", user, "p")  # the same event again
    shop.settle()
    (visits,) = shop.segment_visits()
    assert visits.segment == "city=Ghent"
    assert sorted(visits.product_ids) == ["a", "b"]
    assert (list(visits.visit_times_ms), list(visits.visit_weights)) == ([2_000] * 2, [1.0] * 2)
    assert visits.caused_by in {"pdp-view/e0", "pdp-view/e1"}


scripts = st.lists(
    st.one_of(
        st.tuples(st.just("view"), st.sampled_from("uv"), st.sampled_from("abc")),
        st.tuples(st.just("city"), st.sampled_from("uv"), st.sampled_from(["Ghent", "Bruges", ""])),
        st.tuples(st.just("forget"), st.sampled_from("uv"), st.just("")),
        st.tuples(st.just("settle"), st.just(""), st.just("")),
    ),
    max_size=12,
)


@settings(max_examples=25)
@given(scripts)
def test_what_a_segment_visited_is_what_its_users_histories_hold(script: list[tuple[str, str, str]]) -> None:
    shop = Shop()
    for number, (what, user, value) in enumerate(script):
        shop.log.now_ms += 1
        if what == "view":
            shop.view(f"e{number}", user, value)
        elif what == "city":
            shop.publish(UserUpdated(user, 1, {"city": value}))
        elif what == "forget":
            shop.log.append("user-updated", user.encode(), None)
        else:
            shop.settle()
    shop.settle()
    held: Counter[tuple[str, str]] = Counter()
    for data in shop.log.table("interaction-state").values():
        history = cast(UserHistory, decode("interaction-state", data))
        if "city" in history.attributes:
            held.update((f"city={history.attributes['city']}", product_id) for product_id in history.product_ids)
    told: Counter[tuple[str, str]] = Counter()
    for visits in shop.segment_visits():
        for product_id, weight in zip(visits.product_ids, visits.visit_weights, strict=True):
            told[visits.segment, product_id] += round(weight)
    assert {key: weight for key, weight in told.items() if weight} == dict(held)


def test_a_newcomer_has_the_list_of_the_segment_and_it_follows() -> None:
    shop = Shop()
    shop.popular("city=Ghent", "b", "a")
    shop.popular("city=Bruges", "c")
    shop.popular("", "p", "a")
    shop.settle()
    shop.publish(UserUpdated("u", 1, {"city": "Ghent"}), UserUpdated("v", 1, {"city": "Bruges"}))
    shop.settle()
    assert (shop.for_you("u")[0], shop.for_you("v")[0]) == ("b", "c")
    data = shop.log.table("recommendation-updated")[b"for-you:u"]
    first = cast(RecommendationUpdated, decode("recommendation-updated", data)).items[0]
    assert first.reason == Reason.POPULAR_IN_SEGMENT
    shop.popular("city=Ghent", "c", "a")
    shop.settle()
    assert shop.for_you("u")[0] == "b", "whoever has a list waits for their turn"
    for number in range(2):
        shop.view(f"e{number}", "w", "p")
        shop.settle()
    assert shop.for_you("u")[0] == "c"


def test_users_who_were_there_before_the_lists_get_them_in_turn_after_a_restart_too() -> None:
    shop = Shop()
    users = [f"u{number}" for number in range(5)]
    shop.publish(*(UserUpdated(user, 1, {"city": "Ghent"}) for user in users))
    shop.settle()
    assert not any(map(shop.for_you, users))
    shop.popular("", "p")
    shop.settle()
    assert all(shop.for_you(user) == ["p"] for user in users)
    shop.transport.kill()
    shop.popular("city=Ghent", "b")
    shop.start()
    for number in range(5):
        shop.view(f"e{number}", "v", "a")
        shop.settle()
    assert all(shop.for_you(user) == ["b", "p"] for user in users)
    written = len(shop.log.records("interaction-state"))
    shop.popular("city=Bruges", "c")
    shop.view("e9", "v", "a")
    shop.settle()
    assert len(shop.log.records("interaction-state")) == written + 1, "newcomers' lists are the same"


def test_a_user_who_is_forgotten_is_no_newcomer() -> None:
    shop = Shop()
    shop.popular("", "p")
    shop.publish(UserUpdated("u", 1, {"city": "Ghent"}))
    shop.settle()
    shop.log.append("user-updated", b"u", None)
    shop.settle()
    shop.popular("", "a")
    shop.settle()
    assert shop.for_you("u") == []
    assert b"u" not in shop.log.table("interaction-state")


def test_quality_is_told_by_segment_where_the_segment_has_a_list() -> None:
    shop = Shop()
    shop.popular("", "p", "a")
    shop.popular("city=Ghent", "b", "a")
    shop.popular("", "c", kind=Kind.TRENDING)
    shop.publish(UserUpdated("u", 1, {"city": "Ghent"}), UserUpdated("v", 1, {"city": "Bruges"}))
    shop.settle()
    for user in "uv":
        shop.view(f"e-{user}", user, "a")
    shop.settle()
    hits = {labels[1:]: amount for labels, amount in shop.seen.items() if labels[0] == "list_hits"}
    assert hits == {
        ("for-you", "city=Ghent", "2-5"): 1,
        ("popular", "city=Ghent", "2-5"): 1,
        ("trending", "city=Ghent", "missed"): 1,
        ("for-you", "", "2-5"): 1,
        ("popular", "", "2-5"): 1,
        ("trending", "", "missed"): 1,
    }
    assert shop.seen["list_reciprocal_ranks", "popular", ""] == pytest.approx(0.5)


def test_newcomers_without_a_list_are_due_once_each_and_those_with_one_take_turns() -> None:
    newcomers = Newcomers()
    for number in range(5):
        newcomers.put((0, f"u{number}"), has_list=False)
    newcomers.put((1, "v"), has_list=False)
    assert newcomers.take_due(3) == newcomers.take_turn(3) == []
    newcomers.outdate()
    taken = [subject for _ in range(3) for _, subject in newcomers.take_due(4)]
    assert taken == ["u0", "u1", "u2", "u3", "u4", "v"]
    assert not newcomers.are_due
    for number in range(5):
        newcomers.put((0, f"u{number}"), has_list=True)
    assert [subject for _ in range(2) for _, subject in newcomers.take_turn(3)] == [
        "u0",
        "u1",
        "u2",
        "u3",
        "u4",
        "u0",
    ]
    newcomers.outdate()
    assert newcomers.take_due(9) == [(1, "v")]
    newcomers.revoke([0])
    assert newcomers.take_turn(9) == []
    newcomers.discard((1, "v"))
    assert (len(newcomers), newcomers.take_due(4), newcomers.are_due) == (0, [], False)
