from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from consumers.runtime.memory import MemoryLog, MemoryTransport
from consumers.runtime.records import TopicPartition
from consumers.runtime.worker import Worker, WorkerSettings
from consumers.similar_products.settings import SimilarProductsSettings
from consumers.similar_products.stage import SimilarProductsStage
from schemas.codec import decode, encode
from schemas.events import ImageFeature, ListedProduct, ProductCreated, RecommendationUpdated

SETTINGS = SimilarProductsSettings(list_length=3, margin=1, batch_products=50, near_duplicate_cosine=2)


def direction(degrees: float, dimensions: int = 2) -> bytes:
    """A unit vector; the nearer two angles, the more alike."""
    turn = np.radians(degrees)
    return np.array([np.cos(turn), np.sin(turn), *[0] * (dimensions - 2)]).astype("<f2").tobytes()


class Shop:
    """A log in memory, and the stage on it, which can be killed and started again."""

    def __init__(self, settings: SimilarProductsSettings = SETTINGS, max_batch_records: int = 2_000) -> None:
        self.log = MemoryLog(partitions=2, now_ms=5_000)
        self._worker_settings = WorkerSettings(
            max_batch_records=max_batch_records, backoff_base_seconds=1e-6, backoff_cap_seconds=1e-6
        )
        self.settings = settings
        self.wanted: str | None = None
        self.start()

    def start(self) -> None:
        self.stage = SimilarProductsStage(self.settings, self.wanted)
        self.transport = MemoryTransport(
            self.log, "similar-products", ["image-features"], ["product-created"], sole_owner=True
        )
        self.worker = Worker(self.stage, self.transport, settings=self._worker_settings)

    def restart(self) -> None:
        self.transport.kill()
        self.start()

    def create(
        self,
        product_id: str,
        *,
        in_stock: bool = True,
        category: str = "",
        price: float | None = None,
        **attributes: str,
    ) -> None:
        event = ProductCreated(
            product_id, 1_000, in_stock=in_stock, category=category, price=price, attributes=attributes
        )
        self.log.append("product-created", product_id.encode(), encode(event))

    def retire(self, product_id: str) -> None:
        self.log.append("product-created", product_id.encode(), None)

    def feature(
        self, product_id: str, degrees: float | bytes, encoder_id: str = "one", caused_at_ms: int = 4_000
    ) -> None:
        vector = degrees if isinstance(degrees, bytes) else direction(degrees)
        cause = f"product-created/{product_id}"
        feature = ImageFeature(product_id, 900, encoder_id, bytes(32), "", vector, cause, caused_at_ms)
        self.log.append("image-features", product_id.encode(), encode(feature))

    def retract(self, product_id: str) -> None:
        self.log.append("image-features", product_id.encode(), None)

    def add(self, product_id: str, degrees: float | bytes, encoder_id: str = "one") -> None:
        self.create(product_id)
        self.feature(product_id, degrees, encoder_id)

    def settle(self) -> None:
        """Run until all is dealt with and committed; the rounds that abort and restore look idle too."""
        idle = 0
        for _ in range(1_000):
            taken = self.worker.run_once(timeout_ms=0)
            idle = idle + 1 if self.transport.tables_caught_up() and self._committed() and not taken else 0
            if idle == 3:
                return
        raise AssertionError("the stage does not come to rest")

    def _committed(self) -> bool:
        partitions = [TopicPartition("image-features", number) for number in range(self.log.partitions)]
        return all(self.log.committed("similar-products", p) == self.log.end(p) for p in partitions)

    def lists(self) -> dict[str, list[str]]:
        return {subject: [item.product_id for item in items] for subject, items in self.items().items()}

    def items(self) -> dict[str, Sequence[ListedProduct]]:
        return {update.subject: update.items for update in self.updates().values()}

    def updates(self) -> dict[str, RecommendationUpdated]:
        table = self.log.table("recommendation-updated")
        updates = {key.decode(): decode("recommendation-updated", value) for key, value in table.items()}
        return cast(dict[str, RecommendationUpdated], updates)

    def history(self, subject: str) -> list[bytes | None]:
        key = f"similar:{subject}".encode()
        return [record.value for record in self.log.records("recommendation-updated") if record.key == key]

    def refusals(self) -> dict[str, str]:
        header = "__connect.errors.exception.message"
        records = self.log.records("dead-letter")
        return {(record.key or b"").decode(): dict(record.headers)[header].decode() for record in records}


@pytest.fixture
def shop() -> Shop:
    shop = Shop()
    for product_id, degrees in {"a": 0, "b": 10, "c": 25, "d": 45}.items():
        shop.add(product_id, degrees)
    shop.settle()
    return shop


def test_every_product_lists_its_nearest_best_first(shop: Shop) -> None:
    assert shop.lists() == {"a": ["b", "c", "d"], "b": ["a", "c", "d"], "c": ["b", "d", "a"], "d": ["c", "b", "a"]}
    update = shop.updates()["similar:a"]
    assert (update.kind, update.subject, update.revision) == ("similar", "a", 1)
    assert (update.items[0].reason, update.items[0].because) == ("looks-like", "a")
    assert update.items[0].score == pytest.approx(np.cos(np.radians(10)), abs=1e-3)
    assert update.caused_at_ms == 4_000
    assert update.event_time_ms == 900


def test_a_new_product_gets_a_list_and_enters_others_at_once(shop: Shop) -> None:
    before = len(shop.log.records("recommendation-updated"))
    shop.create("e")
    shop.feature("e", 48, caused_at_ms=4_700)
    shop.settle()
    assert shop.lists()["e"] == ["d", "c", "b"]
    assert shop.lists()["d"] == ["e", "c", "b"]
    assert shop.lists()["c"] == ["b", "d", "e"]
    assert shop.lists()["a"] == ["b", "c", "d"]
    changed = shop.log.records("recommendation-updated")[before:]
    assert len(shop.history("a")) == 1, "a list that stays the same is not published again"
    assert len(changed) == 3
    for subject in ("e", "d"):
        update = shop.updates()[f"similar:{subject}"]
        assert (update.caused_by, update.caused_at_ms) == ("product-created/e", 4_700)
    assert shop.updates()["similar:d"].revision == 2


def test_a_changed_picture_moves_a_product(shop: Shop) -> None:
    shop.feature("d", 4)
    shop.settle()
    assert shop.lists() == {"a": ["d", "b", "c"], "b": ["d", "a", "c"], "c": ["b", "d", "a"], "d": ["a", "b", "c"]}


def test_a_retired_product_leaves_every_list_and_has_none(shop: Shop) -> None:
    shop.add("e", 60)
    shop.settle()
    shop.retire("b")
    shop.settle()
    assert shop.lists() == {"a": ["c", "d", "e"], "c": ["d", "a", "e"], "d": ["e", "c", "a"], "e": ["d", "c", "a"]}
    shop.retract("b")
    shop.settle()
    assert "b" not in shop.stage._similar.neighbours
    assert shop.history("b")[-1] is None
    update = shop.updates()["similar:a"]
    assert update.caused_by == "product-created/b"
    assert update.caused_at_ms == 5_000


def test_a_product_out_of_stock_keeps_its_list_and_stands_in_none(shop: Shop) -> None:
    shop.create("b", in_stock=False)
    shop.settle()
    assert shop.lists() == {"a": ["c", "d"], "b": ["a", "c", "d"], "c": ["d", "a"], "d": ["c", "a"]}
    shop.create("b", in_stock=True)
    shop.settle()
    assert shop.lists()["a"] == ["b", "c", "d"]


def test_a_feature_waits_for_its_product(shop: Shop) -> None:
    shop.feature("e", 44)
    shop.settle()
    assert "e" not in shop.lists()
    assert shop.lists()["d"] == ["c", "b", "a"]
    shop.create("e")
    shop.settle()
    assert shop.lists()["e"] == ["d", "c", "b"]
    assert shop.lists()["d"] == ["e", "c", "b"]


def test_a_list_that_becomes_empty_is_withdrawn_and_begins_anew() -> None:
    shop = Shop()
    shop.add("a", 0)
    shop.settle()
    assert shop.lists() == {}
    shop.add("b", 10)
    shop.settle()
    shop.retire("b")
    shop.settle()
    assert shop.lists() == {}
    shop.create("b")
    shop.settle()
    assert shop.lists() == {"a": ["b"], "b": ["a"]}
    assert shop.updates()["similar:a"].revision == 1


def test_vectors_of_different_encoders_are_not_compared(shop: Shop) -> None:
    shop.feature("a", direction(0, 4), encoder_id="two")
    shop.settle()
    assert shop.lists() == {"b": ["c", "d"], "c": ["b", "d"], "d": ["c", "b"]}
    shop.feature("d", direction(70, 4), encoder_id="two")
    shop.settle()
    assert shop.lists() == {"a": ["d"], "b": ["c"], "c": ["b"], "d": ["a"]}
    for product_id, degrees in {"b": 10, "c": 25}.items():
        shop.feature(product_id, direction(degrees, 4), encoder_id="two")
    shop.settle()
    assert shop.lists()["a"] == ["b", "c", "d"]


@pytest.mark.parametrize(
    ("vector", "complaint"),
    [
        (b"", "the vector has 0 bytes; give float16 numbers of two bytes each"),
        (b"\0\0\0", "the vector has 3 bytes; give float16 numbers of two bytes each"),
        (direction(0, 3), "the vector has 3 dimensions, others of encoder one have 2; give a changed encoder"),
        (np.array([np.nan, 1], "<f2").tobytes(), "the vector's length is nan; normalise it to 1"),
        (np.array([np.inf, 1], "<f2").tobytes(), "the vector's length is inf; normalise it to 1"),
        (np.array([0.5, 0.5], "<f2").tobytes(), "the vector's length is 0.7071; normalise it to 1"),
        (np.zeros(2, "<f2").tobytes(), "the vector's length is 0; normalise it to 1"),
    ],
)
def test_a_vector_that_cannot_be_compared_is_a_dead_letter(shop: Shop, vector: bytes, complaint: str) -> None:
    shop.add("bad", vector)
    shop.add("e", 46)
    shop.settle()
    assert complaint in shop.refusals()["bad"]
    assert "bad" not in shop.lists()
    assert shop.lists()["e"] == ["d", "c", "b"]
    before = shop.updates()
    shop.restart()
    shop.settle()
    assert shop.updates() == before
    assert len(shop.refusals()) == 1


def test_a_restart_publishes_nothing_anew(shop: Shop) -> None:
    before = shop.log.records("recommendation-updated")
    shop.restart()
    shop.settle()
    assert shop.log.records("recommendation-updated") == before
    shop.feature("d", 1)
    shop.settle()
    assert shop.updates()["similar:a"].revision == 2


def test_what_the_catalogue_said_meanwhile_is_made_up_for(shop: Shop) -> None:
    shop.transport.kill()
    shop.retire("b")
    shop.create("c", in_stock=False)
    shop.start()
    shop.settle()
    assert shop.lists() == {"a": ["d"], "c": ["d", "a"], "d": ["a"]}
    assert shop.updates()["similar:a"].caused_at_ms == 5_000


def test_lists_of_another_length_are_published_after_a_restart(shop: Shop) -> None:
    shop.settings = SimilarProductsSettings(list_length=2)
    shop.restart()
    shop.settle()
    assert shop.lists()["a"] == ["b", "c"]
    assert shop.updates()["similar:a"].revision == 2


def test_lists_of_other_kinds_are_left_alone(shop: Shop) -> None:
    other = RecommendationUpdated("for-you", "a", 1, (), 1, "pdp-view/e", 1)
    shop.log.append("recommendation-updated", b"for-you:a", encode(other))
    shop.restart()
    shop.settle()
    assert shop.updates()["for-you:a"] == other
    assert not shop.stage.wants("recommendation-updated", "for-you:a")


def test_another_process_takes_over(shop: Shop) -> None:
    first, first_worker = shop.transport, shop.worker
    shop.start()
    standby = shop.worker
    for _ in range(3):
        standby.run_once(timeout_ms=0)
        first_worker.run_once(timeout_ms=0)
    before = shop.log.records("recommendation-updated")
    shop.retire("b")
    standby.run_once(timeout_ms=0)
    assert shop.log.records("recommendation-updated") == before, "a process that stands by publishes nothing"
    first.kill()
    shop.settle()
    assert shop.lists() == {"a": ["c", "d"], "c": ["d", "a"], "d": ["c", "a"]}


Step = tuple[str, str, float]

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["feature", "feature", "feature", "create", "unstock", "retire", "retract", "bad", "two"]),
        st.sampled_from("abcdefgh"),
        st.sampled_from([0, 0, 10, 20, 45, 46, 90, 180, 300]),
    ),
    min_size=1,
    max_size=30,
)


def take(shop: Shop, step: Step) -> None:
    what, product_id, degrees = step
    match what:
        case "feature":
            shop.feature(product_id, degrees)
        case "two":
            shop.feature(product_id, direction(degrees, 3), encoder_id="two")
        case "bad":
            shop.feature(product_id, b"\0")
        case "create":
            shop.create(product_id)
        case "unstock":
            shop.create(product_id, in_stock=False)
        case "retire":
            shop.retire(product_id)
        case "retract":
            shop.retract(product_id)


def begun(max_batch_records: int = 2_000) -> Shop:
    shop = Shop(max_batch_records=max_batch_records)
    for product_id in "abcdef":
        shop.create(product_id)
    return shop


@given(STEPS, st.data())
def test_a_batch_equals_one_by_one(steps: list[Step], data: st.DataObject) -> None:
    at_once, one_by_one = begun(), begun(max_batch_records=1)
    for step in steps:
        take(at_once, step)
        if data.draw(st.booleans()):
            at_once.settle()
        take(one_by_one, step)
        one_by_one.settle()
    at_once.settle()
    assert at_once.items() == one_by_one.items()


@given(STEPS, st.data())
def test_a_crash_and_a_restore_equal_no_crash(steps: list[Step], data: st.DataObject) -> None:
    crashing, calm = begun(), begun()
    for step in steps:
        take(crashing, step)
        take(calm, step)
        match data.draw(st.sampled_from(["settle", "settle", "go on", "before", "after", "kill"])):
            case "settle":
                crashing.settle()
            case "kill":
                crashing.worker.run_once(timeout_ms=0)
                crashing.restart()
            case "before":
                crashing.log.fail_next_commit("before")
            case "after":
                crashing.log.fail_next_commit("after")
        calm.settle()
    crashing.settle()
    assert crashing.items() == calm.items()
    before = crashing.log.records("recommendation-updated")
    crashing.restart()
    crashing.settle()
    assert crashing.log.records("recommendation-updated") == before


def test_a_failed_transaction_leads_to_the_very_same_records() -> None:
    crashing, calm = Shop(), Shop()
    for shop in (crashing, calm):
        shop.add("a", 0)
        shop.add("b", 10)
        shop.settle()
    crashing.log.fail_next_commit("before", "after")
    for shop in (crashing, calm):
        shop.add("c", 12)
        shop.settle()
        shop.add("d", 3)
        shop.settle()
    assert crashing.updates() == calm.updates()


def test_a_flood_of_products_is_published_once_a_batch() -> None:
    shop = Shop(SimilarProductsSettings(list_length=5, batch_products=100, near_duplicate_cosine=2))
    for number in range(100):
        shop.add(f"p{number:03}", number * 0.9)
    shop.settle()
    assert len(shop.log.records("recommendation-updated")) == 100


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ValidationError, match="list_lenght"):
        SimilarProductsSettings(list_lenght=3)  # type: ignore[call-arg]


def both(shop: Shop, product_id: str, degrees: float) -> None:
    """A product with the vector of encoder two, and beside it that of encoder one."""
    cause = f"product-created/{product_id}"
    one, two = direction(degrees), direction(7 * degrees, 4)
    feature = ImageFeature(product_id, 900, "two", bytes(32), "", two, cause, 4_500, "one", one)
    shop.log.append("image-features", product_id.encode(), encode(feature))


@pytest.mark.parametrize("crash", ["", "before", "after"])
def test_lists_change_over_to_another_encoder_in_one_transaction(shop: Shop, crash: str) -> None:
    shop.wanted = "two"
    shop.restart()
    shop.settle()
    degrees = {"a": 0, "b": 10, "c": 25, "d": 45}
    before = shop.lists()
    for product_id in "abc":
        both(shop, product_id, degrees[product_id])
        shop.settle()
        assert shop.lists() == before
    published = len(shop.log.records("recommendation-updated"))
    if crash:
        shop.log.fail_next_commit(crash)
    both(shop, "d", degrees["d"])
    shop.settle()
    assert {update.encoder_id for update in shop.updates().values()} == {"two"}
    assert len(shop.log.records("recommendation-updated")) == published + len(degrees)
    assert shop.items()["a"][0].score == pytest.approx(np.cos(np.radians(7 * 45)), abs=2e-3)

    shop.restart()  # what was served is read from the lists
    shop.feature("e", 30, "one")
    shop.create("e")
    shop.settle()
    assert len(shop.updates()["similar:a"].items) == 3
    assert shop.updates()["similar:a"].encoder_id == "two"

    shop.retire("e")
    shop.retract("e")
    shop.wanted = "one"
    shop.restart()
    shop.settle()
    assert shop.lists() == before, "back in one step"
    assert {update.encoder_id for update in shop.updates().values()} == {"one"}


def test_the_same_photograph_twice_is_not_recommended_for_itself() -> None:
    shop = Shop(SETTINGS.model_copy(update={"near_duplicate_cosine": 0.985}))
    for product_id, degrees in {"a": 0, "again": 0, "nearly": 4, "b": 30, "c": 60}.items():
        shop.add(product_id, degrees)
    shop.settle()
    assert shop.lists()["a"] == shop.lists()["again"] == shop.lists()["nearly"] == ["b", "c"]
    assert shop.lists()["c"] == ["b", "nearly"]
    shop.create("nearly", in_stock=False)
    shop.settle()
    assert shop.lists()["c"] == ["b", "a"]


@pytest.mark.parametrize(("scope", "expected"), [("same", ["c"]), ("other", ["b", "d"])])
def test_lists_keep_to_the_scope_that_is_set(scope: str, expected: list[str]) -> None:
    shop = Shop(SETTINGS.model_copy(update={"scope": scope}))
    for product_id, degrees in {"a": 0, "b": 10, "c": 25, "d": 45}.items():
        shop.create(product_id, category="hat" if product_id in "ac" else "shoe")
        shop.feature(product_id, degrees)
    shop.settle()
    assert shop.lists()["a"] == expected
    shop.create("d", category="hat")
    shop.settle()
    assert shop.lists()["a"] == (["c", "d"] if scope == "same" else ["b"])
