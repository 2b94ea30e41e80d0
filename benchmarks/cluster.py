"""A Kafka for a benchmark: the configured cluster under a prefix of the run's own, else one on loopback."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.embedded_kafka import EmbeddedKafka, EmbeddedKafkaSettings
from deploy.topics import delete_topics, ensure_topics
from schemas.kafka_settings import KafkaSettings


@contextmanager
def bench_cluster(named: KafkaSettings) -> Iterator[KafkaSettings]:
    """Settings of a cluster with empty topics; everything is gone afterwards."""
    if named.embedded:
        with (
            tempfile.TemporaryDirectory(prefix="recsys-bench-", ignore_cleanup_errors=True) as folder,
            _embedded(Path(folder)) as settings,
        ):
            ensure_topics(settings)
            yield settings
        return
    settings = named.model_copy(update={"topic_prefix": f"{named.topic_prefix}bench-{uuid.uuid4().hex[:8]}."})
    ensure_topics(settings)
    try:
        yield settings
    finally:
        delete_topics(settings)


@contextmanager
def _embedded(folder: Path) -> Iterator[KafkaSettings]:
    broker = EmbeddedKafka(EmbeddedKafkaSettings(port=0, data_dir=folder / "kafka"))
    try:
        yield broker.up()
    finally:
        broker.down()
