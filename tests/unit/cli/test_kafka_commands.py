"""``recsys kafka``: what each command says, where, and with which exit status. No broker is started."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import deploy.embedded_kafka
import deploy.topics
from cli.kafka import app
from deploy.embedded_kafka import BrokerStatus
from deploy.embedded_kafka.errors import DistributionUnavailableError
from deploy.topics import TopicReport
from schemas.kafka_settings import KafkaSettings

RUNNING = BrokerStatus(True, "127.0.0.1:9092", 7, "Apache Kafka 4.1.0 in /c", "/d", ["pdp-view"])
STOPPED = BrokerStatus(False, None, None, None, "/d", None)


class StandIn:
    """An embedded Kafka that says what it was asked for."""

    said = RUNNING
    asked: list[Any] = []  # noqa: RUF012 - replaced for each test

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    def up(self, on_fetched: Any) -> KafkaSettings:
        self.asked.append(("up", self.settings.port, self.settings.data_dir))
        on_fetched(1, 2)
        on_fetched(2, 2)
        return KafkaSettings(bootstrap_servers=f"127.0.0.1:{self.settings.port}")

    def down(self) -> bool:
        return self.said.running

    def status(self) -> BrokerStatus:
        return self.said


@pytest.fixture
def topics_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[KafkaSettings]:
    """The clusters on which topics were made sure of."""
    seen: list[KafkaSettings] = []

    def ensure_topics(settings: KafkaSettings) -> TopicReport:
        seen.append(settings)
        return TopicReport(["a", "b"], ["c"], ["c: retention.ms is 1, not 2"])

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    monkeypatch.setattr(deploy.topics, "ensure_topics", ensure_topics)
    monkeypatch.setattr(deploy.embedded_kafka, "EmbeddedKafka", StandIn)
    monkeypatch.setattr(StandIn, "asked", [])
    return seen


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_up_starts_the_broker_and_creates_the_topics(topics_of: list[KafkaSettings], tmp_path: Path) -> None:
    result = run("up", "--port", "19092", "--data-dir", str(tmp_path))
    assert result.exit_code == 0
    assert StandIn.asked == [("up", 19092, tmp_path)]
    assert [settings.bootstrap_servers for settings in topics_of] == ["127.0.0.1:19092"]
    assert "Kafka answers at 127.0.0.1:19092" in result.stderr
    assert "KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:19092" in result.stderr
    assert "2 topics created, 1 were there" in result.stderr
    assert "note: c: retention.ms is 1, not 2" in result.stderr
    assert result.stdout == ""


def test_up_with_a_cluster_of_ones_own_only_creates_the_topics(
    topics_of: list[KafkaSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "kafka-1:9092")
    monkeypatch.setenv("KAFKA_TOPIC_PREFIX", "shop.")
    result = run("up")
    assert result.exit_code == 0
    assert StandIn.asked == []
    assert [(settings.bootstrap_servers, settings.topic_prefix) for settings in topics_of] == [
        ("kafka-1:9092", "shop.")
    ]
    assert "KAFKA_BOOTSTRAP_SERVERS is set, so the cluster at kafka-1:9092 is used" in result.stderr


def test_topics_are_created_on_the_configured_cluster(topics_of: list[KafkaSettings]) -> None:
    assert run("topics").exit_code == 0
    assert [settings.embedded for settings in topics_of] == [True]


@pytest.mark.parametrize(("found", "status"), [(RUNNING, 0), (STOPPED, 1)])
def test_status_is_json_alone_or_a_line_for_people(
    found: BrokerStatus, status: int, topics_of: list[KafkaSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StandIn, "said", found)
    result = run("status", "--json")
    assert result.exit_code == status
    assert json.loads(result.stdout) == found.as_dict()
    result = run("status")
    assert result.exit_code == status
    assert result.stdout == ""
    assert ("runs at 127.0.0.1:9092 (pid 7; 1 topics" in result.stderr) is found.running
    assert ("start it with `recsys kafka up`" in result.stderr) is not found.running
    assert ("Kafka is stopped" in run("down").stderr) is found.running


def test_what_cannot_be_fetched_is_raised_for_the_one_line(
    topics_of: list[KafkaSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    def up(self: StandIn, on_fetched: Any) -> KafkaSettings:
        raise DistributionUnavailableError("could not fetch")

    monkeypatch.setattr(StandIn, "up", up)
    result = run("up")
    assert isinstance(result.exception, DistributionUnavailableError)
    assert topics_of == []
