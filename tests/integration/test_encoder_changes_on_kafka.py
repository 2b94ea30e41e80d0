"""A shop changes its encoder and goes back, on a real Kafka, while products keep coming."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from kafka import KafkaProducer
from numpy.typing import NDArray
from other_encoder import write_other_encoder

from benchmarks.pictures import render
from schemas.codec import decode, encode
from schemas.events import ImageFeature, ProductCreated, RecommendationUpdated
from schemas.kafka_settings import KafkaSettings
from schemas.topics import DEAD_LETTER, IMAGE_FEATURES, RECOMMENDATION_UPDATED
from storefront.following import TopicFollower

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PRODUCTS = 40
ARRIVALS = 20


class Shop:
    """Two stages as processes, a folder of pictures, and a reader who looks at every list that is published."""

    def __init__(self, kafka: KafkaSettings, folder: Path) -> None:
        self._kafka, self._folder = kafka, folder
        self._producer = KafkaProducer(**kafka.client_options(), acks="all", linger_ms=5)
        self._follower = TopicFollower(kafka, [RECOMMENDATION_UPDATED, IMAGE_FEATURES, DEAD_LETTER])
        self._processes: list[subprocess.Popen[bytes]] = []
        self._vectors: dict[tuple[str, str], NDArray[np.float64]] = {}
        self._turned: set[int] = set()
        self._seen: list[RecommendationUpdated] = []
        self.lists: dict[str, RecommendationUpdated] = {}
        self.created = 0
        self.wanted = ""
        """The encoder that lists are to change over to; a partition that has one such list has only such then."""

    def start(self, encoder: str) -> None:
        environment = {
            "KAFKA_BOOTSTRAP_SERVERS": str(self._kafka.bootstrap_servers),
            "KAFKA_TOPIC_PREFIX": self._kafka.topic_prefix,
            "RECSYS_RUNTIME__INSTANCE": "0",
            "RECSYS_IMAGES__ENCODER": encoder,
            "RECSYS_IMAGES__ENCODERS_DIR": str(self._folder),
            "RECSYS_IMAGES__FETCH__IMAGES_DIR": str(self._folder / "pictures"),
            "RECSYS_IMAGES__RE_EMBEDDED_AT_ONCE": "4",
        }
        for stage in ("image-features", "similar-products"):
            command = [sys.executable, "-m", "cli.main", "run", stage]
            with (self._folder / "stages.log").open("ab") as log:
                process = subprocess.Popen(command, env={**os.environ, **environment}, stderr=log, stdout=log)
            self._processes.append(process)

    def stop(self) -> None:
        for process in self._processes:
            process.terminate()
        assert [process.wait(timeout=20) for process in self._processes] == [0, 0]
        self._processes.clear()

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        self._follower.close()
        self._producer.close()

    def create(self, count: int = 1) -> None:
        for _ in range(count):
            product = ProductCreated(
                f"p{self.created:03}", 1_000, image_url=render(self._folder / "pictures", self.created)
            )
            self._producer.send(self._kafka.named("product-created"), encode(product), product.product_id.encode())
            self.created += 1
        self._producer.flush()

    def read(self) -> None:
        for record in self._follower.poll(100):
            assert record.topic != DEAD_LETTER.name, record.headers
            assert record.value is not None, "nothing is withdrawn"
            value = decode(record.topic, record.value)
            if isinstance(value, ImageFeature):
                self._keep(value.product_id, value.encoder_id, value.vector)
                self._keep(value.product_id, value.earlier_encoder_id, value.earlier_vector)
            elif isinstance(value, RecommendationUpdated) and value.kind == "similar":
                self._look_at(record.partition, value)
                self.lists[value.subject] = value

    def until(self, condition: Callable[[], bool], *, arrivals: int = 0, seconds: float = 120.0) -> None:
        deadline = time.monotonic() + seconds
        while arrivals or not condition():
            assert time.monotonic() < deadline, (self._folder / "stages.log").read_text()[-4_000:]
            if arrivals:
                self.create()
                arrivals -= 1
            self.read()

    def all_served_by(self, encoder_id: str) -> bool:
        return len(self.lists) == self.created and {one.encoder_id for one in self.lists.values()} == {encoder_id}

    def _keep(self, product_id: str, encoder_id: str, data: bytes) -> None:
        if encoder_id:
            vector = np.frombuffer(data, "<f2").astype(np.float64)
            self._vectors[product_id, encoder_id] = vector / np.linalg.norm(vector)

    def _look_at(self, partition: int, update: RecommendationUpdated) -> None:
        """The list is not empty, and nothing turns back."""
        assert update.items
        if update.encoder_id == self.wanted:
            self._turned.add(partition)
        else:
            assert partition not in self._turned, "a partition that has changed over stays so"
        self._seen.append(update)

    def check_scores(self) -> None:
        """Every score of every list ever seen is a cosine of vectors of the list's own encoder."""
        for update in self._seen:
            own = self._vectors[update.subject, update.encoder_id]
            for item in update.items:
                other = self._vectors[item.product_id, update.encoder_id]
                assert item.score == pytest.approx(float(own @ other), abs=1e-6)

    def change(self, encoder: str, wanted: str) -> None:
        self.stop()
        self._turned.clear()
        self.wanted = wanted
        self.start(encoder)


@pytest.fixture
def shop(kafka: KafkaSettings, tmp_path: Path) -> Iterator[Shop]:
    made = Shop(kafka, tmp_path)
    try:
        yield made
    finally:
        made.close()


def test_lists_change_over_in_one_step_and_back_while_products_keep_coming(shop: Shop, tmp_path: Path) -> None:
    shipped = "mobilenet_v2-af463aa9-trim224"
    path = tmp_path / "other.tflite"
    other = f"{write_other_encoder(path)}-trim224"
    shop.create(PRODUCTS)
    shop.start("mobilenet-v2")
    shop.until(lambda: shop.all_served_by(shipped))

    shop.change(str(path), other)
    shop.until(lambda: shop.all_served_by(other), arrivals=ARRIVALS)
    revisions = {subject: update.revision for subject, update in shop.lists.items()}

    shop.change("mobilenet-v2", shipped)
    shop.until(lambda: shop.all_served_by(shipped), arrivals=ARRIVALS)
    assert len(shop.lists) == PRODUCTS + 2 * ARRIVALS
    assert all(shop.lists[subject].revision > revision for subject, revision in revisions.items())
    shop.check_scores()
    shop.stop()
