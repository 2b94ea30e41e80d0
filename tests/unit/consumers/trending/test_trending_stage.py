from __future__ import annotations

from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from consumers.runtime.memory import MemoryLog, MemoryTransport
from consumers.runtime.records import TopicPartition
from consumers.runtime.worker import Worker, WorkerSettings
from consumers.trending.settings import TrendingSettings
from consumers.trending.stage import TrendingStage
from schemas.codec import decode, encode
from schemas.events import (
    CoVisits,
    ListedProduct,
    ProductCreated,
    RecommendationUpdated,
    SegmentVisits,
    TrendingState,
)

HOUR_MS = 3_600_000
SETTINGS = TrendingSettings(list_length=3, trending_floor=3.0)
INPUTS = ["co-visits", "segment-visits"]
TABLES = ["product-created", "recommendation-updated"]


class Shop:
    """A log in memory, and the stage on it, which can be killed and started again."""

    def __init__(self, settings: TrendingSettings = SETTINGS, max_batch_records: int = 2_000) -> None:
        self.log = MemoryLog(partitions=2, now_ms=5_000)
        self._settings = settings
        self._worker_settings = WorkerSettings(
            max_batch_records=max_batch_records, backoff_base_seconds=1e-6, backoff_cap_seconds=1e-6
        )
        self.start()

    def start(self) -> None:
        self.stage = TrendingStage(self._settings)
        self.transport = MemoryTransport(self.log, "trending", INPUTS, TABLES, sole_owner=True)
        self.worker = Worker(self.stage, self.transport, settings=self._worker_settings)

    def restart(self) -> None:
        self.transport.kill()
        self.start()

    def create(self, product_id: str, category: str = "", *, in_stock: bool = True) -> None:
        event = ProductCreated(product_id, 1_000, category=category, in_stock=in_stock)
        self.log.append("product-created", product_id.encode(), encode(event))

    def retire(self, product_id: str) -> None:
        self.log.append("product-created", product_id.encode(), None)

    def visit(self, product_id: str, weight: float = 1.0, at_ms: int = 2_000, times: int = 1) -> None:
        message = CoVisits(
            product_id, (at_ms,) * times, (0,) * times, (weight,) * times, (), (), (), (), f"pdp-view/e{at_ms}", 7
        )
        self.log.append("co-visits", product_id.encode(), encode(message))

    def visit_in(self, segment: str, product_id: str, at_ms: int = 2_000, times: int = 1) -> None:
        ids, visits, weights = (product_id,) * times, (at_ms,) * times, (1.0,) * times
        message = SegmentVisits(segment, ids, visits, weights, f"pdp-view/e{at_ms}", 7)
        self.log.append("segment-visits", segment.encode(), encode(message))

    def settle(self) -> None:
        """Run until all is dealt with and committed; the rounds that abort and restore look idle too."""
        idle = 0
        for _ in range(1_000):
            taken = self.worker.run_once(timeout_ms=0)
            quiet = not self.stage.busy() and self.transport.tables_caught_up() and self._committed()
            idle = idle + 1 if quiet and not taken else 0
            if idle == 3:
                return
        raise AssertionError("the stage does not come to rest")

    def _committed(self) -> bool:
        numbers = range(self.log.partitions)
        partitions = [TopicPartition(topic, n) for topic in INPUTS for n in numbers]
        return all(self.log.committed("trending", p) == self.log.end(p) for p in partitions)

    def lists(self) -> dict[str, list[str]]:
        return {key: [item.product_id for item in update.items] for key, update in self.updates().items()}

    def updates(self) -> dict[str, RecommendationUpdated]:
        table = self.log.table("recommendation-updated")
        updates = {key.decode(): decode("recommendation-updated", value) for key, value in table.items()}
        return cast(dict[str, RecommendationUpdated], updates)

    def published(self, key: str) -> list[RecommendationUpdated | None]:
        return [
            cast(RecommendationUpdated, decode(record.topic, record.value)) if record.value else None
            for record in self.log.records("recommendation-updated")
            if record.key == key.encode()
        ]

    def states(self) -> dict[str, TrendingState]:
        table = self.log.table("trending-state")
        return {key.decode(): cast(TrendingState, decode("trending-state", value)) for key, value in table.items()}


@pytest.fixture
def shop() -> Shop:
    shop = Shop()
    for product_id, category in {"a": "hats", "b": "hats", "c": "shoes", "d": ""}.items():
        shop.create(product_id, category)
    shop.settle()
    return shop


def test_popular_and_trending_lists_overall_and_by_category(shop: Shop) -> None:
    shop.visit("a", times=9)
    shop.visit("b")
    shop.visit("c", times=2)
    shop.settle()
    assert shop.lists() == {
        "popular:": ["a", "c", "b"],
        "popular:hats": ["a", "b"],
        "popular:shoes": ["c"],
        "trending:": ["a"],
        "trending:hats": ["a"],
    }
    update = shop.updates()["trending:hats"]
    assert (update.revision, update.event_time_ms) == (1, 2_000)
    assert (update.caused_by, update.caused_at_ms) == ("pdp-view/e2000", 7)
    assert [item.reason for item in update.items] == ["trending"]
    assert [item.reason for item in shop.updates()["popular:"].items] == ["popular"] * 3


def test_segments_of_users_have_lists_too(shop: Shop) -> None:
    shop.visit("a", times=9)
    shop.visit_in("city=Ghent", "b", times=4)
    shop.visit_in("city=Bruges", "c")
    shop.settle()
    lists = shop.lists()
    assert (lists["popular:city=Ghent"], lists["popular:city=Bruges"]) == (["b"], ["c"])
    assert lists["trending:city=Ghent"] == ["b"]
    assert lists["popular:"] == ["a"], "visits of everybody are those of co-visits"
    assert shop.states()["b"].segments == ["city=Ghent"]
    shop.create("b", "hats", in_stock=False)
    shop.settle()
    assert "popular:city=Ghent" not in shop.lists()


def test_segments_beyond_the_bound_are_counted_and_have_no_lists() -> None:
    shop = Shop(SETTINGS.model_copy(update={"max_segments": 1}))
    shop.create("a")
    for city in ("Ghent", "Bruges", "Liège"):
        shop.visit_in(f"city={city}", "a")
        shop.settle()
    assert [key for key in shop.lists() if "=" in key] == ["popular:city=Ghent"]
    assert shop.worker.processed["segment-visits", "beyond-limit"] == 2


def test_a_list_is_published_again_only_when_its_order_changes(shop: Shop) -> None:
    shop.visit("a", times=2)
    shop.visit("b")
    shop.settle()
    shop.visit("a")
    shop.settle()
    assert len(shop.published("popular:")) == 1
    shop.visit("b", times=9)
    shop.settle()
    assert [update.revision for update in shop.published("popular:hats") if update] == [1, 2]


def test_a_batch_gives_each_product_one_changelog_record_and_each_list_one_update(shop: Shop) -> None:
    for _ in range(5):
        shop.visit("a")
        shop.visit("b", 3.0)
    shop.settle()
    assert len(shop.log.records("trending-state")) == 2
    assert len(shop.published("popular:hats")) == 1


def test_what_is_sold_out_leaves_and_an_empty_category_is_withdrawn(shop: Shop) -> None:
    shop.visit("c", times=9)
    shop.visit("a")
    shop.settle()
    shop.create("c", "shoes", in_stock=False)
    shop.settle()
    assert shop.lists() == {"popular:": ["a"], "popular:hats": ["a"]}
    assert shop.published("trending:shoes")[-1] is None
    shop.create("c", "shoes")
    shop.settle()
    assert shop.lists()["popular:shoes"] == ["c"]
    assert [update and update.revision for update in shop.published("popular:shoes")] == [1, None, 2]


def test_a_product_that_changes_its_category_moves(shop: Shop) -> None:
    shop.visit("c")
    shop.settle()
    shop.create("c", "hats")
    shop.settle()
    assert shop.lists() == {"popular:": ["c"], "popular:hats": ["c"]}


def test_a_retired_product_is_forgotten(shop: Shop) -> None:
    shop.visit("c")
    shop.visit("a")
    shop.settle()
    shop.retire("c")
    shop.settle()
    assert set(shop.states()) == {"a"}
    shop.create("c", "shoes")
    shop.settle()
    assert shop.lists() == {"popular:": ["a"], "popular:hats": ["a"]}


def test_visits_before_a_product_is_created_count_once_it_is(shop: Shop) -> None:
    shop.visit("new", times=2)
    shop.visit("a")
    shop.settle()
    assert shop.lists()["popular:"] == ["a"]
    shop.create("new", "hats")
    shop.settle()
    assert shop.lists()["popular:hats"] == ["new", "a"]


def test_products_that_are_in_no_catalogue_are_bounded() -> None:
    shop = Shop(SETTINGS.model_copy(update={"max_unknown_products": 3}), max_batch_records=2)
    for n in range(20):
        shop.visit(f"junk{n:02}", at_ms=2_000 + n)
    shop.settle()
    assert len(shop.states()) == 3


def test_categories_take_turns_to_drop_what_trends_no_longer(shop: Shop) -> None:
    shop.visit("c", times=9)
    shop.settle()
    assert shop.lists()["trending:shoes"] == ["c"]
    shop.visit("a", at_ms=2_000 + 48 * HOUR_MS)
    shop.settle()
    assert "trending:shoes" not in shop.lists()
    assert shop.lists()["popular:shoes"] == ["c"]


def test_after_a_restart_nothing_is_published_twice_and_revisions_go_on(shop: Shop) -> None:
    shop.visit("a", times=2)
    shop.visit("b")
    shop.settle()
    count = len(shop.log.records("recommendation-updated"))
    shop.restart()
    shop.settle()
    assert len(shop.log.records("recommendation-updated")) == count
    shop.visit("b", times=9)
    shop.settle()
    assert shop.updates()["popular:"].revision == 2


def test_lists_of_other_kinds_are_not_looked_at(shop: Shop) -> None:
    stage = TrendingStage()
    assert not stage.wants("recommendation-updated", "for-you:trending:")
    assert stage.wants("recommendation-updated", "trending:hats")
    assert stage.wants("product-created", "p1")
    foreign = RecommendationUpdated("for-you", "u", 9, (ListedProduct("a", 1.0, "popular"),), 1, "pdp-view/e", 1)
    shop.log.append("recommendation-updated", b"for-you:u", encode(foreign))
    shop.visit("a")
    shop.settle()
    assert shop.lists()["for-you:u"] == ["a"]


def test_a_member_that_stands_by_publishes_nothing(shop: Shop) -> None:
    shop.visit("a")
    shop.settle()
    other = TrendingStage(SETTINGS)
    standby = Worker(other, MemoryTransport(shop.log, "trending", INPUTS, TABLES, sole_owner=True))
    count = len(shop.log.records("recommendation-updated"))
    shop.create("a", "hats", in_stock=False)
    for _ in range(5):
        standby.run_once(timeout_ms=0)
    assert not other.busy()
    assert len(shop.log.records("recommendation-updated")) == count


def test_trending_has_to_forget_faster_than_popular() -> None:
    with pytest.raises(ValidationError, match="has to be shorter than popular_half_life_days"):
        TrendingSettings(popular_half_life_days=0.1, trending_half_life_hours=3)


PRODUCTS = ["a", "b", "c", "d"]
of_segments = st.tuples(
    st.just("segment"), st.sampled_from(["city=X", "city=Y"]), st.sampled_from(PRODUCTS), st.integers(0, 10**9)
)
visits = st.tuples(
    st.just("visit"), st.sampled_from(PRODUCTS), st.sampled_from([1.0, 3.0, 5.0]), st.integers(0, 10**9)
)
changes = st.tuples(st.sampled_from(["hats", "sold-out"]), st.sampled_from(PRODUCTS))
steps = st.lists(
    st.one_of(
        visits, visits, of_segments, st.tuples(st.sampled_from(["hats", "sold-out"]), st.sampled_from(PRODUCTS))
    ),
    min_size=1,
    max_size=12,
)


def play(shop: Shop, step: tuple[object, ...]) -> None:
    match step:
        case ("visit", str(product), float(weight), int(at_ms)):
            shop.visit(product, weight, at_ms)
        case ("segment", str(segment), str(product), int(at_ms)):
            shop.visit_in(segment, product, at_ms)
        case ("hats", str(product)):
            shop.create(product, "hats")
        case ("sold-out", str(product)):
            shop.create(product, "hats", in_stock=False)


@given(steps, st.data())
def test_crashes_anywhere_lead_to_the_same_tables(script: list[tuple[object, ...]], data: st.DataObject) -> None:
    calm, stormy = Shop(), Shop()
    for step in script:
        play(calm, step)
        calm.settle()
        play(stormy, step)
        match data.draw(st.sampled_from(["nothing", "before", "after", "kill", "wait"])):
            case "before":
                stormy.log.fail_next_commit("before")
                stormy.settle()
            case "after":
                stormy.log.fail_next_commit("after")
                stormy.settle()
            case "kill":
                stormy.worker.run_once(timeout_ms=0)
                stormy.restart()
            case "nothing":
                stormy.settle()
    for shop in (calm, stormy):
        shop.visit("a", 0.5, 10**9)
        for segment in ("city=X", "city=Y"):
            shop.visit_in(segment, "a", 10**9)
        shop.settle()
    assert stormy.lists() == calm.lists()
    assert set(stormy.states()) == set(calm.states())
    for product_id, state in calm.states().items():
        other = stormy.states()[product_id]
        assert (other.popular_epoch, other.trending_epoch) == (state.popular_epoch, state.trending_epoch)
        assert other.event_time_ms == state.event_time_ms
        assert sorted(other.segments) == sorted(state.segments)
        assert other.popular == pytest.approx(state.popular, rel=1e-9)
        assert other.trending == pytest.approx(state.trending, rel=1e-9)
