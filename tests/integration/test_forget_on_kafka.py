"""Forgetting on a real Kafka: every stage at work, the proof by ``recsys forget``, and compaction after it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
import typer
from kafka import KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType
from typer.testing import CliRunner

from cli.forget import forget
from consumers.configuration import Configuration
from consumers.runtime.kafka_transport import KafkaTransport
from consumers.runtime.settings import RuntimeSettings
from consumers.runtime.worker import Worker
from consumers.stages import make_stage
from deploy.topics import admin_client
from producers.client import ShopEvents
from schemas.codec import decode, encode
from schemas.events import Click, Impression, ProductCreated, RecommendationOutcome, UserHistory
from schemas.kafka_settings import KafkaSettings
from schemas.topics import CLICK, IMPRESSION, INTERACTION_STATE, RECOMMENDATION_OUTCOMES, TOPICS
from storefront.following import TopicFollower
from storefront.traces import Traces

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

STAGES = ("interactions", "item-neighbours", "item-factors", "trending", "outcomes")
COMPACTED = [topic for topic in TOPICS.values() if topic.compacted]

app = typer.Typer()
app.command()(forget)


@contextmanager
def running(kafka: KafkaSettings) -> Iterator[None]:
    """The stages, each on a thread of its own."""
    stages = [make_stage(name, Configuration()) for name in STAGES]
    workers = [Worker(stage, KafkaTransport(stage.spec, kafka, RuntimeSettings())) for stage in stages]
    threads = [threading.Thread(target=worker.run, daemon=True) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for worker in workers:
            worker.stop()
        for thread in threads:
            thread.join(timeout=30)


def play(kafka: KafkaSettings) -> None:
    """u and v look at the same things; u also clicks and buys, and told the shop where they live."""
    with ShopEvents(kafka) as shop:
        for product_id in "abcd":
            shop.publish(ProductCreated(product_id, 1))
        shop.user_updated("u", {"city": "Ghent"})
        for user, products in (("u", "abc"), ("v", "ab")):
            for product_id in products:
                shop.viewed(user, product_id)
        shop.purchased("u", "a", unit_price=5.0)
        shop.viewed(None, "d", session="s")
    at_ms = time.time_ns() // 1_000_000
    shown = ("a", "similar.1.a", "pdp", "similar", 1, "")
    with closing(KafkaProducer(**kafka.client_options(), acks="all")) as producer:
        seen = Impression("i", at_ms - 2, "u", None, *shown)
        producer.send(kafka.named(IMPRESSION), encode(seen), b"u")
        producer.send(kafka.named(CLICK), encode(Click("c", at_ms - 1, "u", None, *shown)), b"u")
        # One that is too old for its stage to know of.
        old = RecommendationOutcome("old", "u", "click", 1, "r", "similar", "pdp", "", 1, "a", 0.0, 0.0, 9, 9)
        producer.send(kafka.named(RECOMMENDATION_OUTCOMES), encode(old), b"old")


def traces_of(kafka: KafkaSettings, user: str) -> Traces:
    traces = Traces(user)
    with TopicFollower(kafka, list(TOPICS.values())) as follower:
        for records in follower.to_end():
            traces.take(records)
    return traces


def wait_for_all_kinds_of_trace(kafka: KafkaSettings) -> None:
    """A list of their own has u once they come back, for there was nothing to list at first."""
    expected = {"user-updated", "interaction-state", "recommendation-updated", "outcome-state"}
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        traces = traces_of(kafka, "u")
        known = {topic.name for topic in COMPACTED if traces.standing(topic)}
        if known >= expected and len(traces.standing(RECOMMENDATION_OUTCOMES)) >= 2:
            return
        with ShopEvents(kafka) as shop:
            shop.viewed("u", "a")
        time.sleep(1)
    raise AssertionError(f"only {known}")


def sign_in_and_wait(kafka: KafkaSettings) -> None:
    """The guest s signs in as u, whose partition is another."""
    with ShopEvents(kafka) as shop:
        shop.signed_in("u", "s")
    deadline = time.monotonic() + 60
    with TopicFollower(kafka, [INTERACTION_STATE]) as follower:
        visited: dict[bytes | None, list[str]] = {}
        while b"s" in visited or "d" not in visited.get(b"u", ()):
            assert time.monotonic() < deadline, visited
            for record in follower.poll(200):
                if record.value is None:
                    visited.pop(record.key, None)
                else:
                    state = decode(record.topic, record.value)
                    assert isinstance(state, UserHistory)
                    visited[record.key] = list(state.product_ids)


def compact(kafka: KafkaSettings) -> None:
    """Have the broker compact all that was written until now, tombstones too, and wait for it."""
    soon = {"min.cleanable.dirty.ratio": "0.0", "segment.ms": "10", "max.compaction.lag.ms": "10"}
    with admin_client(kafka) as admin:
        admin.alter_configs(
            [
                ConfigResource(ConfigResourceType.TOPIC, kafka.named(topic), {**soon, "delete.retention.ms": "0"})
                for topic in COMPACTED
            ]
        )
        partitions = {t.name: len(admin.describe_topics([kafka.named(t)])[0]["partitions"]) for t in COMPACTED}
    with closing(KafkaProducer(**kafka.client_options(), acks="all")) as producer:
        for number in range(2):  # a segment is closed by what comes after it
            time.sleep(0.1)
            for topic in COMPACTED:
                for partition in range(partitions[topic.name]):
                    producer.send(kafka.named(topic), None, f"none-{number}".encode(), partition=partition)
            producer.flush()


def test_a_user_is_forgotten_and_compaction_leaves_nothing(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", str(kafka.bootstrap_servers))
    monkeypatch.setenv("KAFKA_TOPIC_PREFIX", kafka.topic_prefix)
    with running(kafka):
        play(kafka)
        wait_for_all_kinds_of_trace(kafka)
        sign_in_and_wait(kafka)
        done = CliRunner().invoke(app, ["u", "--verify", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    topics = {one["topic"]: one for one in found["topics"]}
    assert found["forgotten"] is True
    assert (found["stages_behind"], found["stages_absent"]) == ([], [])
    assert {name: one["before"] for name, one in topics.items() if one["before"]} == {
        "user-updated": 1,
        "interaction-state": 1,
        "recommendation-updated": 1,
        "outcome-state": 1,
        "recommendation-outcomes": 2,
    }
    assert not any(one["left"] for one in topics.values())
    assert topics["pdp-view"]["passing"] > 3
    assert topics["session-joined"]["passing"] == topics["session-history"]["passing"] == 1
    assert topics["pdp-view"]["until_ms"] > time.time_ns() // 1_000_000 + 7 * 86_400_000

    compact(kafka)
    deadline = time.monotonic() + 90
    while left := {one.topic.name for one in traces_of(kafka, "u").held({}) if one.topic.compacted}:
        assert time.monotonic() < deadline, f"still in the log of {left}"
        time.sleep(1)

    done = CliRunner().invoke(app, ["v", "--verify", "--wait", "2"])
    assert done.exit_code == 1, "nobody is there to forget v"
    assert "interactions has not taken it in time" in done.stderr
    assert "v is not forgotten yet" in done.stderr
