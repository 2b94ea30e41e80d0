"""The interactions stage, killed ten times while events pass, ends with the tables of an undisturbed run."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from consumers.interactions.stage import InteractionsStage
from consumers.runtime.memory import MemoryLog, MemoryTransport
from consumers.runtime.worker import Worker
from producers.client import ShopEvents
from producers.simulate import Behaviour, Shoppers
from schemas.codec import decode, encode, topic_of
from schemas.events import CoVisits, ProductCreated, UserHistory
from schemas.kafka_settings import KafkaSettings
from schemas.keys import key_of
from schemas.topics import CO_VISITS, DEAD_LETTER, INTERACTION_STATE
from storefront.following import TopicFollower

EVENTS = 20_000
KILLS = 10
BEHAVIOUR = Behaviour(events_per_second=50.0, open_sessions=100)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(280)]


def shop_and_events() -> tuple[list[ProductCreated], list[Any]]:
    products = [ProductCreated(f"p{n}", 1_000, category=f"c{n % 5}") for n in range(200)]
    start_ms = time.time_ns() // 1_000_000 - 3_600_000
    return products, list(Shoppers(products, 300, 11, BEHAVIOUR).events(EVENTS, start_ms))


def histories(records: Iterable[Any]) -> dict[bytes, tuple[Any, ...]]:
    """All that has to be equal; what is listed depends on when the tables were read."""
    table: dict[bytes, tuple[Any, ...]] = {}
    for record in records:
        state = decode(INTERACTION_STATE.name, record.value)
        assert isinstance(state, UserHistory)
        table[record.key] = (
            list(state.event_hashes),
            list(state.event_times_ms),
            list(state.product_ids),
            list(state.actions),
            list(state.quantities),
        )
    return table


def sums(records: Iterable[Any]) -> tuple[Counter[str], dict[tuple[str, str, int], float]]:
    """Visits of each product, and how strongly it was visited with which others."""
    visits: Counter[str] = Counter()
    strengths: dict[tuple[str, str, int], float] = defaultdict(float)
    for record in records:
        said = decode(CO_VISITS.name, record.value)
        assert isinstance(said, CoVisits)
        visits[said.product_id] += len(said.visit_times_ms)
        for companion, relation, strength in zip(
            said.companion_ids, said.companion_relations, said.companion_strengths, strict=True
        ):
            strengths[said.product_id, companion, relation] += strength
    return visits, strengths


def undisturbed(products: list[ProductCreated], events: list[Any]) -> MemoryLog:
    log = MemoryLog(3, now_ms=time.time_ns() // 1_000_000)
    for event in [*products, *events]:
        log.append(topic_of(event).name, key_of(event).encode(), encode(event))
    spec = InteractionsStage.spec
    inputs, tables = ([topic.name for topic in topics] for topics in (spec.inputs, spec.tables))
    worker = Worker(InteractionsStage(), MemoryTransport(log, spec.name, inputs, tables))
    while sum(worker.processed.values()) < len(events):
        worker.run_once(timeout_ms=0)
    return log


class KilledStage:
    """``recsys run interactions`` under one name, on a port of its own."""

    def __init__(self, kafka: KafkaSettings, log: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self._port = listener.getsockname()[1]
        self._log = log
        self._environment = {
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": ",".join(kafka.client_options()["bootstrap_servers"]),
            "KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
            "RECSYS_RUNTIME__INSTANCE": "0",
            "RECSYS_RUNTIME__METRICS_PORT": str(self._port),
            "RECSYS_RUNTIME__WORKER__MAX_BATCH_RECORDS": "500",
        }
        self._start()

    def _start(self) -> None:
        command = [sys.executable, "-W", "ignore", "-m", "cli.main", "run", "interactions"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)

    def until_ready(self) -> None:
        deadline = time.monotonic() + 60
        while not self._is_ready():
            assert time.monotonic() < deadline, self._log.read_text()[-3_000:]
            time.sleep(0.02)

    def _is_ready(self) -> bool:
        try:
            return bool(urllib.request.urlopen(f"http://127.0.0.1:{self._port}/ready", timeout=2).status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def restart(self) -> None:
        self.kill()
        self._start()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


def read(kafka: KafkaSettings, topic: Any) -> list[Any]:
    with TopicFollower(kafka, [topic]) as follower:
        return [record for chunk in follower.to_end() for record in chunk]


def test_killed_ten_times_it_counts_every_event_once(kafka: KafkaSettings, tmp_path: Path) -> None:
    rng = random.Random(2)
    products, events = shop_and_events()
    wanted = undisturbed(products, events)
    wanted_visits, wanted_strengths = sums(wanted.records(CO_VISITS.name))
    with ShopEvents(kafka) as shop:
        for product in products:
            shop.publish(product)
    stage = KilledStage(kafka, tmp_path / "stage.log")
    try:
        stage.until_ready()
        for number in range(KILLS + 1):
            with ShopEvents(kafka) as shop:
                for event in events[number * EVENTS // (KILLS + 1) : (number + 1) * EVENTS // (KILLS + 1)]:
                    shop.publish(event)
            if number < KILLS:
                stage.until_ready()
                time.sleep(rng.uniform(0.0, 0.6))
                stage.restart()
        deadline = time.monotonic() + 90
        while (found := sums(read(kafka, CO_VISITS)))[0].total() < wanted_visits.total():
            assert time.monotonic() < deadline, (tmp_path / "stage.log").read_text()[-3_000:]
    finally:
        stage.kill()
    assert histories(read(kafka, INTERACTION_STATE)) == histories(wanted.records(INTERACTION_STATE.name))
    visits, strengths = found
    assert visits == wanted_visits
    assert strengths == pytest.approx(wanted_strengths, abs=1e-6)
    assert read(kafka, DEAD_LETTER) == []
