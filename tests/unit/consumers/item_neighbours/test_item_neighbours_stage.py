from __future__ import annotations

from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.item_neighbours.settings import ItemNeighbourSettings
from consumers.item_neighbours.stage import ItemNeighboursStage
from consumers.runtime.memory import MemoryLog, MemoryTransport
from consumers.runtime.records import TopicPartition
from consumers.runtime.worker import Worker, WorkerSettings
from schemas.codec import decode, encode
from schemas.events import CoVisits, ItemState, ProductCreated, RecommendationUpdated, Relation

AFTER, BEFORE, TOGETHER = Relation.AFTER, Relation.BEFORE, Relation.BOUGHT_TOGETHER
SETTINGS = ItemNeighbourSettings(list_length=3, max_companions=20)


class Shop:
    """A log in memory, and the stage on it, which can be killed and started again."""

    def __init__(self, settings: ItemNeighbourSettings = SETTINGS, max_batch_records: int = 2_000) -> None:
        self.log = MemoryLog(partitions=2, now_ms=5_000)
        self._settings = settings
        self._worker_settings = WorkerSettings(
            max_batch_records=max_batch_records, backoff_base_seconds=1e-6, backoff_cap_seconds=1e-6
        )
        self.start()

    def start(self) -> None:
        self.stage = ItemNeighboursStage(self._settings)
        self.transport = MemoryTransport(self.log, "item-neighbours", ["co-visits"], ["product-created"])
        self.worker = Worker(self.stage, self.transport, settings=self._worker_settings)

    def restart(self) -> None:
        self.transport.kill()
        self.start()

    def create(self, *product_ids: str, in_stock: bool = True) -> None:
        for product_id in product_ids:
            event = ProductCreated(product_id, 1_000, in_stock=in_stock)
            self.log.append("product-created", product_id.encode(), encode(event))

    def retire(self, product_id: str) -> None:
        self.log.append("product-created", product_id.encode(), None)

    def visit(self, product_id: str, *companions: tuple[str, int, float], at_ms: int = 2_000) -> None:
        message = CoVisits(
            product_id,
            (at_ms,),
            (0,),
            (1.0,),
            tuple(name for name, _, _ in companions),
            (at_ms,) * len(companions),
            tuple(relation for _, relation, _ in companions),
            tuple(strength for _, _, strength in companions),
            f"pdp-view/e{at_ms}",
            at_ms + 1,
        )
        self.log.append("co-visits", product_id.encode(), encode(message))

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
        partitions = [TopicPartition("co-visits", number) for number in range(self.log.partitions)]
        return all(self.log.committed("item-neighbours", p) == self.log.end(p) for p in partitions)

    def lists(self) -> dict[str, list[str]]:
        table = self.log.table("recommendation-updated")
        updates = {key.decode(): decode("recommendation-updated", value) for key, value in table.items()}
        return {
            key: [item.product_id for item in cast(RecommendationUpdated, update).items]
            for key, update in updates.items()
        }

    def published(self, key: str) -> list[RecommendationUpdated | None]:
        return [
            cast(RecommendationUpdated, decode(record.topic, record.value)) if record.value else None
            for record in self.log.records("recommendation-updated")
            if record.key == key.encode()
        ]

    def states(self) -> dict[str, ItemState]:
        table = self.log.table("item-state")
        return {key.decode(): cast(ItemState, decode("item-state", value)) for key, value in table.items()}


@pytest.fixture
def shop() -> Shop:
    shop = Shop()
    shop.create("p", "a", "b", "c", "d")
    shop.settle()
    return shop


def test_both_lists_are_published_with_reason_and_cause(shop: Shop) -> None:
    shop.visit("p", ("a", AFTER, 0.5), ("b", AFTER, 0.9), ("c", TOGETHER, 1.0))
    shop.settle()
    assert shop.lists() == {"viewed-next:p": ["b", "a"], "bought-together:p": ["c"]}
    [update] = shop.published("viewed-next:p")
    assert update is not None
    assert (update.revision, update.event_time_ms) == (1, 2_000)
    assert (update.caused_by, update.caused_at_ms) == ("pdp-view/e2000", 2_001)
    assert {(item.reason, item.because) for item in update.items} == {("viewed-next", "p")}
    [together] = shop.published("bought-together:p")
    assert together is not None
    assert [(item.reason, item.because) for item in together.items] == [("bought-together", "p")]


def test_a_list_is_published_again_only_when_its_products_or_their_order_change(shop: Shop) -> None:
    shop.visit("p", ("a", AFTER, 0.5), ("b", AFTER, 0.9))
    shop.settle()
    shop.visit("p", ("b", AFTER, 0.9), at_ms=3_000)
    shop.settle()
    assert len(shop.published("viewed-next:p")) == 1
    shop.visit("p", ("a", AFTER, 1.0), ("a", AFTER, 1.0), at_ms=4_000)
    shop.settle()
    revisions = [update.revision for update in shop.published("viewed-next:p") if update]
    assert revisions == [1, 2]
    assert shop.lists()["viewed-next:p"] == ["a", "b"]


def test_a_batch_gives_a_product_one_changelog_record_and_one_list_of_a_kind(shop: Shop) -> None:
    for at_ms in range(2_000, 2_010):
        shop.visit("p", ("a", AFTER, 0.5), ("b", TOGETHER, 0.5), at_ms=at_ms)
    shop.settle()
    assert len([r for r in shop.log.records("item-state") if r.key == b"p"]) == 1
    assert len(shop.published("viewed-next:p")) == len(shop.published("bought-together:p")) == 1
    [update] = shop.published("viewed-next:p")
    assert update is not None
    assert update.caused_by == "pdp-view/e2009"


def test_what_runs_out_of_stock_leaves_every_list_and_comes_back(shop: Shop) -> None:
    shop.visit("p", ("a", AFTER, 0.5), ("b", AFTER, 0.9), ("b", TOGETHER, 0.9))
    shop.settle()
    shop.create("b", in_stock=False)
    shop.settle()
    assert shop.lists() == {"viewed-next:p": ["a"]}
    last = shop.published("viewed-next:p")[-1]
    assert last is not None
    assert last.caused_by == "product-created/b"
    shop.create("b")
    shop.settle()
    assert shop.lists() == {"viewed-next:p": ["b", "a"], "bought-together:p": ["b"]}


def test_a_product_out_of_stock_keeps_its_own_lists(shop: Shop) -> None:
    shop.visit("p", ("a", AFTER, 0.5))
    shop.create("p", in_stock=False)
    shop.settle()
    assert shop.lists() == {"viewed-next:p": ["a"]}


def test_a_retired_product_leaves_every_list_and_loses_its_own(shop: Shop) -> None:
    shop.visit("p", ("a", AFTER, 0.5))
    shop.visit("a", ("p", BEFORE, 0.5), ("b", AFTER, 0.1))
    shop.settle()
    shop.retire("p")
    shop.settle()
    assert shop.lists() == {"viewed-next:a": ["b"]}
    assert shop.published("viewed-next:p")[-1] is None
    assert set(shop.states()) == {"a"}


def test_a_product_that_is_created_later_enters_the_lists_and_gets_its_own(shop: Shop) -> None:
    shop.visit("p", ("new", AFTER, 0.5))
    shop.visit("new", ("p", BEFORE, 0.5))
    shop.settle()
    assert shop.lists() == {}
    shop.create("new")
    shop.settle()
    assert shop.lists() == {"viewed-next:p": ["new"], "viewed-next:new": ["p"]}


def test_what_was_retired_while_the_stage_was_down_is_withdrawn_on_return(shop: Shop) -> None:
    shop.visit("p", ("a", AFTER, 0.5), ("b", AFTER, 0.4))
    shop.visit("a", ("b", AFTER, 0.5))
    shop.settle()
    shop.transport.kill()
    shop.retire("a")
    shop.create("c")
    shop.start()
    shop.settle()
    assert shop.lists() == {"viewed-next:p": ["b"]}
    assert set(shop.states()) == {"p"}


def test_a_large_change_of_the_catalogue_is_taken_a_bounded_number_at_a_time() -> None:
    shop = Shop(SETTINGS.model_copy(update={"max_relisted": 2}))
    names = [f"p{n}" for n in range(9)]
    shop.create(*names, "a", "b")
    for name in names:
        shop.visit(name, ("a", AFTER, 0.9), ("b", AFTER, 0.5))
    shop.settle()
    shop.create("a", in_stock=False)
    shop.worker.run_once(timeout_ms=0)
    assert shop.stage.busy()
    assert 0 < sum(products == ["b"] for products in shop.lists().values()) < 9
    shop.settle()
    assert all(products == ["b"] for products in shop.lists().values())


def test_rows_of_products_that_are_in_no_catalogue_are_bounded() -> None:
    shop = Shop(SETTINGS.model_copy(update={"max_unknown_products": 3}), max_batch_records=4)
    for n in range(20):
        shop.visit(f"junk{n:02}", ("a", AFTER, 0.5), at_ms=2_000 + n)
    shop.settle()
    assert len(shop.states()) <= 2 * 3
    assert "junk19" in shop.states()
    shop.restart()
    shop.settle()
    shop.create("junk19", "a")
    shop.settle()
    assert shop.lists() == {"viewed-next:junk19": ["a"]}


PRODUCTS = ["p", "q", "r", "s"]
visits = st.tuples(
    st.just("visit"),
    st.sampled_from(PRODUCTS),
    st.sampled_from(PRODUCTS),
    st.sampled_from([0, 1, 2]),
    st.integers(0, 10**10),
    st.sampled_from([0.1, 0.25, 0.7, 1.0]),
)
steps = st.lists(
    st.one_of(visits, visits, st.tuples(st.sampled_from(["create", "sold-out"]), st.sampled_from(PRODUCTS))),
    min_size=1,
    max_size=12,
)


def play(shop: Shop, step: tuple[object, ...]) -> None:
    match step:
        case ("visit", str(product), str(companion), int(relation), int(at_ms), float(strength)):
            shop.visit(product, (companion, relation, strength), at_ms=at_ms)
        case ("create", str(product)):
            shop.create(product)
        case ("sold-out", str(product)):
            shop.create(product, in_stock=False)


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
    stormy.log._failures.clear()
    stormy.settle()
    assert stormy.lists() == calm.lists()
    assert set(stormy.states()) == set(calm.states())
    for product_id, state in calm.states().items():
        other = stormy.states()[product_id]
        assert (other.companion_ids, other.epoch, other.event_time_ms) == (
            state.companion_ids,
            state.epoch,
            state.event_time_ms,
        )
        for name in ("visits", "viewed_after", "viewed_before", "bought_together"):
            assert getattr(other, name) == pytest.approx(getattr(state, name), rel=1e-9)


@given(st.lists(visits, min_size=1, max_size=12))
def test_a_batch_equals_one_by_one(script: list[tuple[object, ...]]) -> None:
    many, single = Shop(), Shop(max_batch_records=1)
    for shop in (many, single):
        shop.create(*PRODUCTS)
        for step in script:
            play(shop, step)
        shop.settle()
    assert many.lists() == single.lists()
    states = [
        {key: (s.visits, s.viewed_after, s.viewed_before, s.bought_together) for key, s in shop.states().items()}
        for shop in (many, single)
    ]
    assert states[0] == states[1]
