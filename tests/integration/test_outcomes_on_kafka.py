"""The outcomes stage as a process on a real Kafka, killed on the way, and the report on an experiment after it."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from kafka import KafkaProducer

from consumers.experiments import Experiment
from schemas.codec import decode, encode, topic_of
from schemas.events import CartAdd, Click, Event, Impression, Purchase, RecommendationOutcome
from schemas.kafka_settings import KafkaSettings
from schemas.keys import key_of
from schemas.topics import RECOMMENDATION_OUTCOMES
from storefront.following import TopicFollower

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

TEST: dict[str, Any] = {"name": "test", "variants": [{"name": "a", "share": 0.5}, {"name": "b", "share": 0.5}]}
EXPERIMENT = Experiment.model_validate(TEST)
NOW_MS = 1_700_000_000_000


class Stage:
    """The stage as a process."""

    def __init__(self, kafka: KafkaSettings, folder: Path) -> None:
        self._environment = {
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": str(kafka.bootstrap_servers),
            "KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
            "RECSYS_RUNTIME__INSTANCE": "0",
        }
        self._log = folder / "stage.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "cli.main", "run", "outcomes"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, env=self._environment, stderr=log, stdout=log)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def report(self) -> Any:
        environment = {**self._environment, "RECSYS_EXPERIMENTS": json.dumps([TEST])}
        command = [sys.executable, "-m", "cli.main", "experiment", "report", "test", "--json"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def stage(kafka: KafkaSettings, tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(kafka, tmp_path)
    try:
        yield stage
    finally:
        stage.kill()


def events_of(number: int) -> list[Event]:
    """What a shopper does: looks at three products, clicks on one, buys it, and sometimes gives it back."""
    subject = f"u{number}"
    shown = ("similar.1.a", "pdp", "similar", 1, f"test:{EXPERIMENT.variant_of(subject)}")
    at_ms = NOW_MS + number
    seen: list[Event] = [
        Impression(f"i{number}-{product}", at_ms, subject, None, product, *shown) for product in "pqr"
    ]
    click = Click(f"c{number}", at_ms + 1_000, subject, None, "p", *shown)
    cart_add = CartAdd(f"a{number}", at_ms + 2_000, subject, None, "p")
    bought = Purchase(f"b{number}", at_ms + 3_000, subject, None, "p", 2.0, 10.0)
    given_back = Purchase(f"r{number}", at_ms + 5 * 86_400_000, subject, None, "p", -1.0, 10.0)
    return [*seen, click, cart_add, bought, *([given_back] if number % 4 == 0 else [])]


def outcomes(follower: TopicFollower, count: int) -> dict[str, RecommendationOutcome]:
    """The table once it has that many outcomes, and whatever comes within a second after."""
    table: dict[str, RecommendationOutcome] = {}
    deadline = time.monotonic() + 60
    while (len(table) < count and time.monotonic() < deadline) or not table:
        for one in follower.poll(500):
            assert one.value is not None
            outcome = cast("RecommendationOutcome", decode(one.topic, one.value))
            earlier = table.get(outcome.event_id)
            assert outcome.revision > (0 if earlier is None else earlier.revision)
            table[outcome.event_id] = outcome
    assert not follower.poll(1_000)
    return table


def test_every_outcome_is_there_once_after_kills_and_the_report_adds_up(
    kafka: KafkaSettings, stage: Stage
) -> None:
    shoppers = 200
    events = [event for number in range(shoppers) for event in events_of(number)]
    random.Random(5).shuffle(events)
    producer = KafkaProducer(**kafka.client_options(), acks="all", linger_ms=5)
    stage.start()
    for third in range(3):
        for event in events[third::3]:
            key = key_of(event).encode()
            producer.send(kafka.named(topic_of(event)), encode(event), key)
            if event.event_time_ms % 7 == 0:  # sent again
                producer.send(kafka.named(topic_of(event)), encode(event), key)
        producer.flush()
        time.sleep(2 * third / 3)  # to be killed before it has begun, and at work
        stage.kill()
        stage.start()
    producer.close()
    returned = sum(isinstance(event, Purchase) and event.quantity < 0 for event in events)
    with TopicFollower(kafka, [RECOMMENDATION_OUTCOMES]) as follower:
        table = outcomes(follower, 3 * shoppers + returned)
    assert len(table) == 3 * shoppers + returned
    assert all(outcome.click_time_ms % 1_000 == int(outcome.subject[1:]) for outcome in table.values())
    assert sum(outcome.revenue for outcome in table.values()) == 20.0 * shoppers - 10.0 * returned

    report = stage.report()
    figures = {one["variant"]: one for one in report["variants"]}
    for name, one in figures.items():
        count = sum(EXPERIMENT.variant_of(f"u{number}") == name for number in range(shoppers))
        counted = tuple(one[key] for key in ("shoppers", "impressions", "clicks", "cart_adds", "purchases"))
        assert counted == (count, 3 * count, count, count, count)
        assert (one["total_purchases"], one["total_revenue"]) == (one["purchases"], one["revenue"])
        assert one["metrics"]["click_rate"]["value"] == pytest.approx(1 / 3)
    assert sum(one["revenue"] for one in figures.values()) == 20.0 * shoppers - 10.0 * returned
    assert report["sample_ratio_mismatch"] is False
