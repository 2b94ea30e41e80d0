"""A refit of the matrix factorisation on a real Kafka, beside a stage that is killed on the way."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer

from recsys.factors.generations import Generations
from schemas.codec import decode, encode
from schemas.events import ItemFactors, UserHistory
from schemas.kafka_settings import KafkaSettings
from schemas.topics import DEAD_LETTER, ITEM_FACTORS
from storefront.following import TopicFollower

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


class Shop:
    """Publishes histories, runs the stage, and reads its vectors as the interactions stage does."""

    def __init__(self, kafka: KafkaSettings, folder: Path) -> None:
        self._kafka, self._log = kafka, folder / "stage.log"
        self._environment = {
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": str(kafka.bootstrap_servers),
            "KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
            "RECSYS_RUNTIME__INSTANCE": "0",
            "RECSYS_ITEM_FACTORS__FACTORS": "4",
            "RECSYS_ITEM_FACTORS__REGULARISATION": "1",
        }
        self._producer = KafkaProducer(**kafka.client_options(), acks="all", linger_ms=5)
        self._follower = TopicFollower(kafka, [ITEM_FACTORS, DEAD_LETTER])
        self._process: subprocess.Popen[bytes] | None = None
        self.generations = Generations()
        self.vectors: dict[str, bytes] = {}
        self.latest: dict[str, ItemFactors] = {}

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command("run", "item-factors"), env=self._environment, stderr=log, stdout=log
            )

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        self.kill()
        self._follower.close()
        self._producer.close()

    def visit(self, users: range, left: str = "abc", right: str = "def") -> None:
        for number in users:
            products = list(left if number % 2 else right)
            count, user = len(products), f"u{number}"
            state = UserHistory(user, range(count), range(count), products, [0] * count, [1.0] * count, (), 0)
            self._producer.send(self._kafka.named("interaction-state"), encode(state), user.encode())
        self._producer.flush()

    def refit(self, *options: str, status: int = 0) -> Any:
        done = subprocess.run(
            self._command("refit", "--json", *options),
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == status, done.stderr
        return json.loads(done.stdout)

    def until(self, condition: Callable[[], bool]) -> None:
        """Read until something holds, and look at every record on the way."""
        deadline = time.monotonic() + 120.0
        while not condition():
            assert time.monotonic() < deadline, self._log.read_text()[-4_000:]
            for record in self._follower.poll(100):
                assert record.topic != DEAD_LETTER.name, record.headers
                factors = decode(record.topic, record.value or b"")
                assert isinstance(factors, ItemFactors)
                before = self.latest.get(factors.product_id)
                assert before is None or factors.generation >= before.generation, "no vector goes back"
                self.latest[factors.product_id] = factors
                anew, vectors = self.generations.take([(factors.product_id, factors)])
                self.vectors = {**({} if anew else self.vectors), **vectors}

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "cli.main", *arguments]


@pytest.fixture
def shop(kafka: KafkaSettings, tmp_path: Path) -> Iterator[Shop]:
    made = Shop(kafka, tmp_path)
    try:
        yield made
    finally:
        made.close()


def test_a_refit_is_gone_over_to_beside_the_traffic_and_after_a_kill(shop: Shop) -> None:
    shop.start()
    shop.visit(range(40))
    shop.until(lambda: shop.vectors.keys() == set("abcdef"))
    report = shop.refit()
    assert (report["generation"], report["users"], report["items"]) == (1, 40, 6)
    assert report["published"]
    assert report["switched"]
    assert report["loss_after"] <= report["loss_before"]
    shop.until(lambda: shop.generations.generation == 1)
    assert shop.vectors.keys() == set("abcdef")

    shop.kill()
    late = shop.refit("--wait-seconds", "1", status=3)
    assert (late["generation"], late["switched"]) == (2, False)
    shop.visit(range(40, 60), left="abx")
    shop.start()
    shop.until(lambda: "x" in shop.vectors and shop.generations.generation == 2)
    assert {factors.generation for factors in shop.latest.values()} == {2}
    assert shop.vectors.keys() == set("abcdefx")

    shop.kill()
    shop.start()
    shop.visit(range(60, 61), right="dey")
    shop.until(lambda: "y" in shop.vectors)
    assert shop.generations.generation == 2
    assert shop.latest["y"].generation_items == 0


def test_what_is_only_tried_changes_nothing(shop: Shop) -> None:
    shop.visit(range(10))
    report = shop.refit("--dry-run")
    assert not report["published"]
    assert not report["switched"]
    assert report["converged"]
    assert shop.refit("--dry-run")["generation"] == 1


@pytest.mark.skipif(
    importlib.util.find_spec("pyspark") is None, reason="needs pyspark: pip install 'streaming-recsys[spark]'"
)
def test_spark_reads_and_writes_the_same_topics(shop: Shop) -> None:
    shop.start()
    shop.visit(range(40))
    shop.until(lambda: shop.vectors.keys() == set("abcdef"))
    report = shop.refit("--engine", "spark")
    assert (report["engine"], report["generation"], report["items"], report["switched"]) == ("spark", 1, 6, True)
    shop.until(lambda: shop.generations.generation == 1)
    assert shop.vectors.keys() == set("abcdef")
