"""The stage as a process on a real Kafka: what readers see, and what is left of it after kills."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from kafka import KafkaProducer

from recsys.neighbours import Changes, ExactIndex, ExactSettings
from recsys.neighbours.index import Vector
from schemas.codec import decode, encode, topic_of
from schemas.events import Event, ImageFeature, ProductCreated, RecommendationUpdated
from schemas.kafka_settings import KafkaSettings
from schemas.keys import key_of
from schemas.topics import DEAD_LETTER, RECOMMENDATION_UPDATED
from storefront.following import TopicFollower

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

DIMENSIONS = 32
LIST_LENGTH = 20
Lists = dict[str, list[tuple[str, float]]]


class Shop:
    """Publishes products and their features, runs the stage, and reads its lists as a storefront does."""

    def __init__(self, kafka: KafkaSettings, folder: Path) -> None:
        self._kafka = kafka
        self._folder = folder
        self._producer = KafkaProducer(**kafka.client_options(), acks="all", linger_ms=5)
        self._follower = TopicFollower(kafka, [RECOMMENDATION_UPDATED, DEAD_LETTER])
        self._rng = np.random.default_rng(7)
        self._process: subprocess.Popen[bytes] | None = None
        self.vectors: dict[str, Vector] = {}
        self.withdrawn: set[str] = set()
        self.updates: dict[str, RecommendationUpdated] = {}
        self.refused: set[str] = set()

    def start(self) -> None:
        environment = {
            "KAFKA_BOOTSTRAP_SERVERS": str(self._kafka.bootstrap_servers),
            "KAFKA_TOPIC_PREFIX": self._kafka.topic_prefix,
            "RECSYS_RUNTIME__INSTANCE": "0",
        }
        command = [sys.executable, "-m", "cli.main", "run", "similar-products"]
        with (self._folder / "stage.log").open("ab") as log:
            self._process = subprocess.Popen(command, env={**os.environ, **environment}, stderr=log, stdout=log)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> int:
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(timeout=10)

    def close(self) -> None:
        self.kill()
        self._follower.close()
        self._producer.close()

    def create(self, *ids: str, in_stock: bool = True) -> None:
        self._send(*(ProductCreated(product_id, 1_000, in_stock=in_stock) for product_id in ids))

    def picture(self, *ids: str) -> None:
        """Other pictures for these products."""
        for product_id in ids:
            vector = self._rng.standard_normal(DIMENSIONS)
            self.vectors[product_id] = (vector / np.linalg.norm(vector)).astype(np.float16)
        self._send(*(self._feature(product_id, self.vectors[product_id].tobytes()) for product_id in ids))

    def broken_picture(self, product_id: str) -> None:
        self._send(self._feature(product_id, b"\0\0\0"))

    def retire(self, product_id: str) -> None:
        for topic in ("product-created", "image-features"):
            self._producer.send(self._kafka.named(topic), None, product_id.encode())
        self._producer.flush()
        del self.vectors[product_id]

    def _feature(self, product_id: str, vector: bytes) -> ImageFeature:
        now_ms = time.time_ns() // 1_000_000
        return ImageFeature(
            product_id, 1_000, "one", bytes(32), "", vector, f"product-created/{product_id}", now_ms
        )

    def _send(self, *events: Event) -> None:
        for event in events:
            self._producer.send(self._kafka.named(topic_of(event)), encode(event), key_of(event).encode())
        self._producer.flush()

    def read(self, timeout_ms: int = 100) -> None:
        """Take what was committed since; a list's revision never goes back, unless it was withdrawn."""
        for record in self._follower.poll(timeout_ms):
            key = (record.key or b"").decode()
            if record.topic == DEAD_LETTER.name:
                self.refused.add(key)
            elif record.value is None:
                self.withdrawn.add(key)
                self.updates.pop(key, None)
            else:
                update = decode(record.topic, record.value)
                assert isinstance(update, RecommendationUpdated)
                earlier = self.updates.get(key)
                assert earlier is None or update.revision == earlier.revision + 1, "each list is published once"
                self.updates[key] = update

    def lists(self) -> Lists:
        return {u.subject: [(item.product_id, item.score) for item in u.items] for u in self.updates.values()}

    def until(self, condition: Callable[[], bool], seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, (self._folder / "stage.log").read_text()[-4_000:]
            self.read()

    def until_published(self, count: int) -> None:
        self.until(lambda: len(self.updates) >= count)

    def from_nothing(self, *unlisted: str) -> Lists:
        """The lists that should be there."""
        index = ExactIndex(DIMENSIONS, ExactSettings(list_length=LIST_LENGTH, margin=0))
        index.apply(Changes(self.vectors, listable=dict.fromkeys(unlisted, False)))
        return {
            product_id: [(near.product_id, near.score) for near in index.neighbours(product_id)]
            for product_id in self.vectors
        }


@pytest.fixture
def shop(kafka: KafkaSettings, tmp_path: Path) -> Iterator[Shop]:
    made = Shop(kafka, tmp_path)
    try:
        yield made
    finally:
        made.close()


def test_products_come_change_and_go(shop: Shop) -> None:
    names = [f"p{number}" for number in range(30)]
    shop.create(*names)
    shop.picture(*names[:15])
    shop.start()
    shop.picture(*names[15:])
    shop.until(lambda: shop.lists() == shop.from_nothing())

    shop.picture("newcomer")
    shop.create("newcomer")
    shop.until(lambda: shop.lists() == shop.from_nothing())
    newest = shop.updates["similar:newcomer"]
    assert newest.caused_by.startswith("product-created/")
    assert 0 <= time.time_ns() // 1_000_000 - newest.caused_at_ms < 60_000

    shop.picture("p3")
    shop.create("p4", in_stock=False)
    shop.retire("p5")
    shop.broken_picture("p6")
    del shop.vectors["p6"]
    shop.until(lambda: shop.lists() == shop.from_nothing("p4"))
    shop.until(lambda: shop.refused == {"p6"})
    assert shop.withdrawn == {"similar:p5", "similar:p6"}
    assert shop.stop() == 0


def test_killed_again_and_again_it_ends_with_the_same_lists(shop: Shop) -> None:
    names = [f"p{number:03}" for number in range(240)]
    rng = random.Random(3)
    shop.create(*names)
    for at in range(0, len(names), 60):
        shop.start()
        shop.until_published(at)
        for product_id in names[at : at + 60]:
            shop.picture(product_id)
            if rng.random() < 0.1:
                shop.picture(rng.choice(names[: at + 1]))
        time.sleep(rng.uniform(0.0, 0.5))  # any moment will do
        shop.kill()
    shop.retire("p007")
    shop.start()
    shop.until(lambda: shop.lists() == shop.from_nothing())
    published = {key: update.revision for key, update in shop.updates.items()}
    assert shop.stop() == 0
    shop.start()
    shop.picture("p000")
    shop.until(lambda: shop.lists() == shop.from_nothing())
    assert shop.updates["similar:p000"].revision == published["similar:p000"] + 1
