"""One cluster in two forms, so that the same test says what a transport promises in memory and on Kafka."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import pytest
from kafka import KafkaProducer
from kafka.errors import KafkaTimeoutError

from consumers.runtime.kafka_reader import TopicReader
from consumers.runtime.kafka_transport import KafkaTransport
from consumers.runtime.memory import MemoryLog, MemoryTransport
from consumers.runtime.partitioning import key_partition
from consumers.runtime.records import Headers, Record, TopicPartition
from consumers.runtime.settings import RuntimeSettings, WorkerSettings
from consumers.runtime.stage import Stage
from consumers.runtime.worker import Worker
from schemas.codec import decode, encode, topic_of
from schemas.events import Event, Kind, PdpView
from schemas.kafka_settings import KafkaSettings
from schemas.keys import key_of

PARTITIONS = 3
_LIMIT_SECONDS = 40.0

WORKER = WorkerSettings(backoff_base_seconds=0.001)
RUNTIME = RuntimeSettings(session_timeout_ms=2_000, heartbeat_interval_ms=300)


class Cluster:
    """What tests need of both forms."""

    def __init__(self) -> None:
        self.workers: list[Worker] = []

    def start(self, stage: Stage, instance: str | None = None) -> Worker:
        """A process with this stage, its first round not run yet."""
        worker = Worker(stage, self.transport(stage, instance), settings=WORKER)
        self.workers.append(worker)
        return worker

    def stop(self, worker: Worker) -> None:
        """As a process stops that is asked to."""
        self.workers.remove(worker)
        worker.stop()
        worker.run()

    def run_until(self, met: Callable[[], bool]) -> None:
        """Give every process its turn until the condition is met."""
        deadline = time.monotonic() + _LIMIT_SECONDS
        while not met():
            assert time.monotonic() < deadline, "the condition was not met in time"
            for worker in self.workers:
                worker.run_once(timeout_ms=20)

    def run_until_ready(self) -> None:
        self.run_until(lambda: all(worker.ready for worker in self.workers))

    def run_until_processed(self, amount: int) -> None:
        self.run_until(lambda: self.processed() >= amount)

    def processed(self) -> int:
        return sum(sum(worker.processed.values()) for worker in self.workers)

    def publish(self, *events: Event) -> None:
        for event in events:
            self.append(topic_of(event).name, key_of(event).encode(), encode(event))

    def view(self, user: str, product: str, number: int = 0) -> None:
        self.publish(PdpView(f"{user}/{product}/{number}", 1_000, user, None, product))

    def table(self, topic: str) -> dict[str, Any]:
        """What is left of a compacted topic: the last value of each key."""
        latest = {record.key: record.value for record in self.records(topic)}
        return {k.decode(): decode(topic, v) for k, v in latest.items() if k is not None and v is not None}

    def lists(self) -> dict[str, list[str]]:
        """Products of each shopper's list."""
        table = self.table("recommendation-updated")
        prefix = f"{Kind.FOR_YOU}:"
        return {key.removeprefix(prefix): [i.product_id for i in value.items] for key, value in table.items()}

    def partition_of(self, key: str) -> int:
        return key_partition(key.encode(), PARTITIONS)

    def transport(self, stage: Stage, instance: str | None) -> Any:
        raise NotImplementedError

    def append(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        *,
        headers: Headers = (),
        timestamp_ms: int | None = None,
    ) -> None:
        raise NotImplementedError

    def records(self, topic: str) -> list[Record]:
        """Everything that is committed on a topic."""
        raise NotImplementedError

    def fail_next_commit(self, worker: Worker, when: Literal["before", "after"]) -> None:
        """Lose the worker's next transaction, or the answer to it."""
        raise NotImplementedError

    def close(self) -> None:
        for worker in list(self.workers):
            self.stop(worker)


class MemoryCluster(Cluster):
    def __init__(self) -> None:
        super().__init__()
        self.log = MemoryLog(PARTITIONS, now_ms=5_000)

    def transport(self, stage: Stage, instance: str | None) -> MemoryTransport:
        spec = stage.spec
        inputs, tables = ([topic.name for topic in topics] for topics in (spec.inputs, spec.tables))
        return MemoryTransport(self.log, spec.name, inputs, tables, sole_owner=spec.sole_owner)

    def append(self, topic: str, key: bytes | None, value: bytes | None, **options: Any) -> None:
        self.log.append(topic, key, value, **options)

    def records(self, topic: str) -> list[Record]:
        return self.log.records(topic)

    def fail_next_commit(self, worker: Worker, when: Literal["before", "after"]) -> None:
        self.log.fail_next_commit(when)


class KafkaCluster(Cluster):
    def __init__(self, settings: KafkaSettings) -> None:
        super().__init__()
        self.settings = settings
        self._producer = KafkaProducer(**settings.client_options(), acks="all", metrics_enabled=False)

    def transport(self, stage: Stage, instance: str | None) -> KafkaTransport:
        return KafkaTransport(stage.spec, self.settings, RUNTIME.model_copy(update={"instance": instance}))

    def append(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        *,
        headers: Headers = (),
        timestamp_ms: int | None = None,
    ) -> None:
        partition = key_partition(key, PARTITIONS) if key is not None else 0
        name = self.settings.named(topic)
        self._producer.send(name, value, key, list(headers), partition, timestamp_ms).get(timeout=10)

    def records(self, topic: str) -> list[Record]:
        reader = TopicReader(self.settings, RUNTIME, fetch_max_wait_ms=10)
        try:
            partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
            return [r for partition in partitions for chunk in reader.read(partition, None) for r in chunk]
        finally:
            reader.close()

    def fail_next_commit(self, worker: Worker, when: Literal["before", "after"]) -> None:
        writer = worker._transport._writer  # type: ignore[attr-defined]
        commit = writer._commit

        def fail(producer: Any, records: Sequence[Any], offsets: Any, group: Any) -> None:
            del writer._commit
            if when == "after":
                commit(producer, records, offsets, group)
            else:
                producer.begin_transaction()
                writer._send(producer, records)
                producer.send_offsets_to_transaction(offsets, group)
                producer.flush()
            raise KafkaTimeoutError("the answer was lost, as the test asked")

        writer._commit = fail

    def close(self) -> None:
        super().close()
        self._producer.close()


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    made = MemoryCluster() if request.param == "memory" else KafkaCluster(request.getfixturevalue("kafka"))
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def kafka_only(kafka: KafkaSettings) -> Iterator[KafkaCluster]:
    made = KafkaCluster(kafka)
    try:
        yield made
    finally:
        made.close()
