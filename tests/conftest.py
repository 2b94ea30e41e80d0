"""A real Kafka for the tests that need one: the embedded broker, or the one that KAFKA_BOOTSTRAP_SERVERS names."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from schemas.errors import RecsysError
from schemas.kafka_settings import KafkaSettings

if TYPE_CHECKING:
    from deploy.embedded_kafka import EmbeddedKafka

REQUIRED = os.environ.get("RECSYS_REQUIRE_KAFKA") == "1"
"""Set by the gate: then a Kafka that cannot be had fails the tests instead of skipping them."""

_FIXTURES = {"kafka", "kafka_cluster", "embedded_kafka"}

# The same examples in every run, and as many as make a suite that is run often; look further now and then with
# `pytest --hypothesis-profile thorough`. A busy machine fails nothing.
settings.register_profile("suite", max_examples=20, derandomize=True, deadline=None)
settings.register_profile("thorough", max_examples=500, deadline=None)
settings.load_profile("suite")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Run in the background by a shell: commands that tests start would not hear Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.kafka)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    passed = [report for report in terminalreporter.stats.get("passed", []) if "kafka" in report.keywords]
    if passed:
        terminalreporter.write_line(f"kafka tests passed: {len(passed)}")


@pytest.fixture(scope="session")
def kafka_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaSettings]:
    """A cluster for the whole run; its topics are the tests' own by their prefixes."""
    from consumers.configuration import load

    named = load(folder=tmp_path_factory.getbasetemp()).kafka
    if not named.embedded:
        yield named
        return
    broker = _broker(tmp_path_factory.mktemp("kafka"))
    try:
        yield broker.up()
    finally:
        broker.down()


@pytest.fixture
def embedded_kafka(tmp_path: Path) -> Iterator[EmbeddedKafka]:
    """A broker of the test's own, not started yet, on a free port and an empty folder."""
    broker = _broker(tmp_path / "kafka")
    try:
        yield broker
    finally:
        broker.down()


def _broker(folder: Path) -> EmbeddedKafka:
    """A broker that can be started: without Java or jars the test is skipped, unless the gate insists on it."""
    from deploy.embedded_kafka import EmbeddedKafka, EmbeddedKafkaSettings
    from deploy.embedded_kafka.distribution import find_distribution

    settings = EmbeddedKafkaSettings(port=0, data_dir=folder)
    try:
        find_distribution(settings.cache_dir)
    except RecsysError as error:
        if REQUIRED:
            raise
        pytest.skip(f"no Kafka: {error}")
    return EmbeddedKafka(settings)


@pytest.fixture
def kafka(kafka_cluster: KafkaSettings) -> Iterator[KafkaSettings]:
    """Topics of the test's own, three partitions each, on the cluster."""
    from deploy.topics import delete_topics, ensure_topics

    settings = kafka_cluster.model_copy(update={"topic_prefix": f"test-{uuid.uuid4().hex[:12]}."})
    ensure_topics(settings)
    try:
        yield settings
    finally:
        delete_topics(settings)
