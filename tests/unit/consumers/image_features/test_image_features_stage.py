from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from other_encoder import write_other_encoder
from PIL import Image

from consumers.image_features.encoder import Encoder
from consumers.image_features.settings import FetchSettings, ImageSettings, PipelineSettings, RetryPolicy
from consumers.image_features.stage import ImageFeaturesStage
from consumers.runtime.memory import MemoryLog, MemoryTransport
from consumers.runtime.records import TopicPartition
from consumers.runtime.worker import Worker
from schemas.codec import decode, encode
from schemas.events import ImageFeature, ProductCreated
from schemas.topics import IMAGE_FEATURES

COLOURS = {"red": (200, 20, 20), "green": (20, 200, 20), "blue": (20, 20, 200)}


class CountingEncoder(Encoder):
    """The real encoder; says how many pictures went through it."""

    embedded = 0

    def embed(self, images: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        self.embedded += len(images)
        return super().embed(images)


class Shop:
    """A log in memory, a folder of pictures, and a stage on them that can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = MemoryLog(partitions=2, now_ms=5_000)
        self.encoder = CountingEncoder(num_threads=2)
        self.previous_encoder: str | None = None
        self.now_seconds = 0.0
        self._workers: list[tuple[Worker, ImageFeaturesStage, MemoryTransport]] = []
        for name, colour in COLOURS.items():
            stripes = np.random.default_rng(colour[0]).integers(0, 2, (8, 8, 1), np.uint8) * np.array(
                colour, np.uint8
            )
            Image.fromarray(stripes.astype(np.uint8)).resize((260, 300), Image.Resampling.NEAREST).save(
                folder / f"{name}.png"
            )

    def start(self) -> None:
        settings = ImageSettings(
            fetch=FetchSettings(images_dir=self.folder),
            pipeline=PipelineSettings(fetchers=2, decoders=1, capacity=4),
            retry=RetryPolicy(max_attempts=2),
            previous_encoder=self.previous_encoder,
            encoders_dir=self.folder,
        )
        stage = ImageFeaturesStage(
            settings, encoder=self.encoder, now_seconds=lambda: self.now_seconds, rng=random.Random(1)
        )
        transport = MemoryTransport(self.log, "image-features", ["product-created"])
        self._workers.append((Worker(stage, transport), stage, transport))

    def kill(self) -> None:
        _, stage, transport = self._workers.pop()
        transport.kill()
        stage.close()

    @property
    def stage(self) -> ImageFeaturesStage:
        return self._workers[-1][1]

    @property
    def worker(self) -> Worker:
        return self._workers[-1][0]

    def publish(
        self,
        product_id: str,
        image_url: str | None,
        *others: str,
        category: str = "shirt",
        at_ms: int = 1_000,
    ) -> None:
        event = ProductCreated(
            product_id, at_ms, category=category, image_url=image_url, other_image_urls=list(others)
        )
        self.log.append("product-created", product_id.encode(), encode(event))

    def retire(self, product_id: str) -> None:
        self.log.append("product-created", product_id.encode(), None)

    def settle(self) -> None:
        """Run until everything published is dealt with and committed."""
        for _ in range(2_000):
            self.worker.run_once(timeout_ms=0)
            if self._committed() and not self.stage.busy():
                return
            self.stage._pictures.wait(0.01)
        raise AssertionError("pictures are still under way")

    def _committed(self) -> bool:
        partitions = [TopicPartition("product-created", number) for number in range(self.log.partitions)]
        return all(self.log.committed("image-features", p) == self.log.end(p) for p in partitions)

    def features(self) -> dict[str, ImageFeature]:
        table = self.log.table("image-features")
        features = {key.decode(): decode(IMAGE_FEATURES.name, value) for key, value in table.items()}
        assert all(isinstance(feature, ImageFeature) for feature in features.values())
        return features  # type: ignore[return-value]

    def refusals(self) -> dict[str, str]:
        return {
            (record.key or b"").decode(): dict(record.headers)["__connect.errors.exception.class.name"]
            .decode()
            .rpartition(".")[2]
            for record in self.log.records("dead-letter")
        }


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path)
    shop.start()
    yield shop
    while shop._workers:
        shop.kill()


def test_a_product_gets_its_feature(shop: Shop) -> None:
    shop.publish("p", "red.png", category="shoes", at_ms=1_234)
    shop.settle()
    feature = shop.features()["p"]
    assert feature.image_digest == hashlib.sha256((shop.folder / "red.png").read_bytes()).digest()
    assert (feature.product_id, feature.category, feature.event_time_ms) == ("p", "shoes", 1_234)
    assert (feature.caused_by, feature.caused_at_ms) == ("product-created/p", 5_000)
    assert feature.encoder_id == shop.stage.encoder_id == f"{shop.encoder.encoder_id}-trim224"
    vector = np.frombuffer(feature.vector, "<f2").astype(np.float32)
    assert vector.shape == (1280,)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-3)
    (record,) = shop.log.records("image-features")
    assert record.partition == shop.log.records("product-created")[0].partition


def test_more_products_than_fit_under_way_all_get_theirs(shop: Shop) -> None:
    for number in range(23):
        shop.publish(f"p{number}", f"{list(COLOURS)[number % 3]}.png")
    shop.settle()
    assert len(shop.features()) == 23
    assert len({feature.vector for feature in shop.features().values()}) == 3
    assert shop.encoder.embedded == 3
    assert shop.worker.processed["product-created", "processed"] == 23


def test_the_same_picture_is_not_embedded_again(shop: Shop) -> None:
    shop.publish("p", "red.png")
    shop.settle()
    shop.publish("p", "red.png", at_ms=2_000)
    shop.publish("q", "red.png")
    shop.settle()
    assert shop.encoder.embedded == 1
    assert len(shop.log.records("image-features")) == 2
    assert shop.features()["q"].vector == shop.features()["p"].vector


def test_nor_after_a_restart(shop: Shop) -> None:
    shop.publish("p", "red.png")
    shop.settle()
    shop.kill()
    shop.start()
    shop.publish("p", "red.png")
    shop.publish("q", "red.png")
    shop.settle()
    assert shop.encoder.embedded == 1
    assert len(shop.log.records("image-features")) == 2


def test_a_changed_category_is_published_without_embedding(shop: Shop) -> None:
    shop.publish("p", "red.png", category="shirt")
    shop.settle()
    shop.publish("p", "red.png", category="dress")
    shop.settle()
    assert (shop.features()["p"].category, shop.encoder.embedded) == ("dress", 1)


def test_a_changed_picture_under_the_same_name_is_embedded(shop: Shop) -> None:
    shop.publish("p", "red.png")
    shop.settle()
    before = shop.features()["p"]
    (shop.folder / "red.png").write_bytes((shop.folder / "blue.png").read_bytes())
    shop.publish("p", "red.png")
    shop.settle()
    assert shop.features()["p"].vector != before.vector


def test_the_newest_of_several_messages_wins(shop: Shop) -> None:
    for name in ("red", "green", "absent", "blue"):
        shop.publish("p", f"{name}.png")
    shop.settle()
    assert shop.features()["p"].image_digest == hashlib.sha256((shop.folder / "blue.png").read_bytes()).digest()
    assert shop.worker.processed["product-created", "processed"] == 4


@pytest.mark.parametrize("url", [None, ""])
def test_a_product_without_a_picture_has_no_feature(url: str | None, shop: Shop) -> None:
    shop.publish("p", "red.png")
    shop.publish("never", url)
    shop.settle()
    shop.publish("p", url)
    shop.settle()
    assert shop.features() == {}
    assert len(shop.log.records("image-features")) == 2


def test_a_retired_product_has_no_feature(shop: Shop) -> None:
    shop.publish("p", "red.png")
    shop.settle()
    shop.retire("p")
    shop.publish("q", "red.png")
    shop.retire("q")
    shop.settle()
    assert shop.features() == {}
    shop.publish("p", "red.png")
    shop.settle()
    assert set(shop.features()) == {"p"}


def test_what_cannot_be_used_goes_to_the_dead_letters_and_the_rest_goes_on(shop: Shop) -> None:
    (shop.folder / "text.jpg").write_text("no picture")
    (shop.folder / "empty.jpg").touch()
    shop.publish("p", "red.png")
    shop.settle()
    for product_id, url in (
        ("p", "absent.jpg"),
        ("q", "text.jpg"),
        ("r", "empty.jpg"),
        ("s", "../x"),
        ("t", "blue.png"),
    ):
        shop.publish(product_id, url)
    shop.settle()
    assert shop.refusals() == {
        "p": "ImageMissingError",
        "q": "NotAnImageError",
        "r": "EmptyImageError",
        "s": "ImageAddressError",
    }
    assert set(shop.features()) == {"p", "t"}
    processed = shop.worker.processed
    assert (processed["product-created", "processed"], processed["product-created", "dead-letter"]) == (2, 4)


def test_an_aborted_transaction_changes_nothing_but_the_work(shop: Shop) -> None:
    shop.log.fail_next_commit("before", "after", "before")
    for number, name in enumerate(COLOURS):
        shop.publish(f"p{number}", f"{name}.png")
    shop.settle()
    assert set(shop.features()) == {"p0", "p1", "p2"}
    assert shop.refusals() == {}


def test_a_crash_while_pictures_are_under_way_loses_none(shop: Shop) -> None:
    for number in range(9):
        shop.publish(f"p{number}", f"{list(COLOURS)[number % 3]}.png")
    for _ in range(3):
        shop.worker.run_once(timeout_ms=0)
        shop.kill()
        shop.start()
    shop.settle()
    assert len(shop.features()) == 9


def test_partitions_that_are_taken_away_leave_no_work_behind(shop: Shop) -> None:
    for number in range(4):
        shop.publish(f"p{number}", "red.png")
    shop.worker.run_once(timeout_ms=0)
    shop.stage.revoke([0, 1])
    assert not shop.stage.busy()
    assert shop.stage.capacity() == 4


def test_partitions_move_to_a_second_process_and_nothing_is_lost(shop: Shop) -> None:
    for number in range(9):
        shop.publish(f"p{number}", f"{list(COLOURS)[number % 3]}.png")
    first = shop.worker
    first.run_once(timeout_ms=0)
    shop.start()
    for _ in range(2_000):
        first.run_once(timeout_ms=0)
        shop.worker.run_once(timeout_ms=0)
        if shop._committed():
            break
        shop.stage._pictures.wait(0.01)
    assert len(shop.features()) == 9
    assert shop.refusals() == {}


def test_a_stage_with_another_encoder_embeds_again(shop: Shop) -> None:
    shop.publish("p", "red.png")
    shop.settle()
    shop.kill()
    shop.encoder.encoder_id = "other"
    shop.start()
    shop.publish("p", "red.png")
    shop.settle()
    assert shop.encoder.embedded == 2
    assert shop.features()["p"].encoder_id == "other-trim224"


def vector_of(feature: ImageFeature) -> np.ndarray:  # type: ignore[type-arg]
    return np.frombuffer(feature.vector, "<f2").astype(np.float32)


def test_several_pictures_of_a_product_count_and_the_main_one_rules(shop: Shop) -> None:
    for name in COLOURS:
        shop.publish(name, f"{name}.png")
    shop.publish("p", "red.png", "green.png", "absent.png", "red.png")
    shop.settle()
    found, red, green = (shop.features()[name] for name in ("p", "red", "green"))
    assert (found.image_digest, found.other_digests) == (red.image_digest, [green.image_digest])
    assert found.main_weight == 0.7
    mixed = 0.7 * vector_of(red) + 0.3 * vector_of(green)
    assert vector_of(found) == pytest.approx(mixed / np.linalg.norm(mixed), abs=1e-3)
    assert vector_of(found) @ vector_of(red) > vector_of(found) @ vector_of(green)
    assert (shop.encoder.embedded, shop.refusals()) == (3, {})


def test_other_pictures_that_change_or_go_lose_no_product(shop: Shop) -> None:
    shop.publish("p", "red.png", "green.png")
    shop.settle()
    before = shop.features()["p"]
    shop.publish("p", "red.png", "green.png")
    shop.settle()
    assert len(shop.log.records("image-features")) == 1
    (shop.folder / "green.png").write_bytes((shop.folder / "blue.png").read_bytes())
    shop.publish("p", "red.png", "green.png")
    shop.settle()
    changed = shop.features()["p"]
    assert changed.image_digest == before.image_digest
    assert changed.vector != before.vector
    (shop.folder / "green.png").unlink()
    shop.publish("p", "red.png", "green.png")
    shop.settle()
    assert (shop.features()["p"].other_digests, shop.features()["p"].main_weight) == ([], 1.0)
    assert shop.refusals() == {}


def test_the_vector_of_several_pictures_is_not_taken_for_that_of_one_after_a_restart(shop: Shop) -> None:
    shop.publish("p", "red.png", "green.png")
    shop.settle()
    shop.kill()
    shop.start()
    shop.publish("p", "red.png", "green.png")
    shop.publish("q", "red.png")
    shop.settle()
    assert len(shop.log.records("image-features")) == 2
    assert shop.features()["q"].vector != shop.features()["p"].vector


def test_more_pictures_than_are_taken_are_left(shop: Shop) -> None:
    shop.publish("p", "red.png", *["absent.png"] * 4, "green.png")
    shop.settle()
    assert shop.features()["p"].other_digests == []


def other_encoder(shop: Shop) -> CountingEncoder:
    path = shop.folder / "other.tflite"
    write_other_encoder(path)
    return CountingEncoder(path, num_threads=2)


def change_encoder(shop: Shop, encoder: CountingEncoder) -> None:
    shop.kill()
    shop.encoder = encoder
    shop.start()


def test_a_changed_encoder_embeds_everything_again_beside_what_comes_in(shop: Shop) -> None:
    for name in COLOURS:
        shop.publish(name, f"{name}.png")
    shop.publish("two", "red.png", "green.png")
    shop.settle()
    before, shipped = shop.features(), shop.encoder
    change_encoder(shop, other_encoder(shop))
    shop.publish("new", "red.png")
    shop.publish("blue", "blue.png", category="hats")
    shop.settle()
    found = shop.features()
    assert {feature.encoder_id for feature in found.values()} == {shop.stage.encoder_id}
    assert {feature.earlier_encoder_id for feature in found.values()} == {before["red"].encoder_id}
    assert found["two"].other_digests == before["two"].other_digests == [found["green"].image_digest]
    for name in (*COLOURS, "two"):
        assert found[name].earlier_vector == before[name].vector
        assert found[name].vector != before[name].vector
        assert found[name].image_digest == before[name].image_digest
    assert found["new"].earlier_vector == before["red"].vector, (
        "a new product has both, so that it is listed at once"
    )
    assert found["blue"].category == "hats"

    embedded, records = shop.encoder.embedded, len(shop.log.records("image-features"))
    change_encoder(shop, shop.encoder)
    shop.settle()
    change_encoder(shop, shipped)
    shop.settle()
    assert shop.encoder.embedded == 3, "going back needs no new vector"
    assert (embedded, records) == (3, len(shop.log.records("image-features")))


def test_a_picture_that_is_gone_is_said_to_have_been_tried(shop: Shop) -> None:
    for name in COLOURS:
        shop.publish(name, f"{name}.png")
    shop.settle()
    before = shop.features()
    (shop.folder / "green.png").unlink()
    (shop.folder / "blue.png").unlink()
    change_encoder(shop, other_encoder(shop))
    shop.publish("blue", "blue.png")
    shop.settle()
    for name in ("green", "blue"):
        found = shop.features()[name]
        assert found.tried_encoder_id == shop.stage.encoder_id
        assert (found.encoder_id, found.vector) == (before[name].encoder_id, before[name].vector)
    assert shop.refusals() == {"blue": "ImageMissingError"}
    records = len(shop.log.records("image-features"))
    change_encoder(shop, shop.encoder)
    shop.settle()
    assert len(shop.log.records("image-features")) == records, "it is not tried at each start"


@pytest.mark.parametrize("when", ["before", "after"])
def test_crashed_while_embedding_again_it_ends_the_same(shop: Shop, when: str) -> None:
    for name in COLOURS:
        shop.publish(name, f"{name}.png")
    shop.settle()
    change_encoder(shop, other_encoder(shop))
    shop.log.fail_next_commit(when)
    shop.settle()
    change_encoder(shop, shop.encoder)
    shop.settle()
    assert {feature.encoder_id for feature in shop.features().values()} == {shop.stage.encoder_id}
    assert all(feature.earlier_vector for feature in shop.features().values())
