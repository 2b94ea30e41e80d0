"""What a refit asks of the log: whole topics, and one transaction; on Kafka, or in memory."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Protocol

from consumers.runtime.kafka_reader import TopicReader
from consumers.runtime.kafka_writer import TransactionalWriter
from consumers.runtime.memory import READ_CHUNK_RECORDS, MemoryLog
from consumers.runtime.records import OutRecord, Record, TopicPartition
from consumers.runtime.settings import RuntimeSettings
from schemas.kafka_settings import KafkaSettings
from schemas.topics import Topic

_NAME = "recsys-refit"
_POLL_RECORDS = 5_000
_POLL_MS = 200


class RefitLog(Protocol):
    """Committed records of topics as they are now, and a way to write."""

    def read(self, topic: Topic) -> Iterator[list[Record]]:
        """Everything on a topic, in bounded chunks, each partition in order."""
        ...

    def write(self, records: Sequence[OutRecord]) -> None:
        """One transaction, all or nothing. A refit that began later fences this one: ``FencedError``."""
        ...


class KafkaRefitLog:
    """On a cluster, outside every group."""

    def __init__(self, kafka: KafkaSettings, runtime: RuntimeSettings | None = None) -> None:
        runtime = runtime or RuntimeSettings()
        self._reader = TopicReader(kafka, runtime, fetch_max_wait_ms=10)
        self._writer = TransactionalWriter(kafka, runtime, kafka.topic_prefix + _NAME)
        self._writer.prepare()

    def read(self, topic: Topic) -> Iterator[list[Record]]:
        """A whole topic, read_committed."""
        for number in range(self._reader.partition_count(topic.name)):
            yield from self._reader.read(TopicPartition(topic.name, number), None)

    def follow(self, topic: Topic, seconds: float) -> Iterator[list[Record]]:
        """A topic from the beginning, and what comes, until the time is over."""
        deadline = time.monotonic() + seconds
        self._reader.follow([topic.name])
        while time.monotonic() < deadline:
            yield self._reader.poll(_POLL_RECORDS, _POLL_MS)

    def write(self, records: Sequence[OutRecord]) -> None:
        """One transaction."""
        self._writer.commit(records, {}, None)

    def close(self) -> None:
        """Release the connections."""
        self._writer.close()
        self._reader.close()


class MemoryRefitLog:
    """The same on a log in memory."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    def read(self, topic: Topic) -> Iterator[list[Record]]:
        """A whole topic."""
        records = self._log.records(topic.name)
        for start in range(0, len(records), READ_CHUNK_RECORDS):
            yield records[start : start + READ_CHUNK_RECORDS]

    def write(self, records: Sequence[OutRecord]) -> None:
        """One transaction."""
        self._log.commit(_NAME, records, {})
