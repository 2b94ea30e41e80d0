"""The floor under every stage: consume, transform nothing, produce, commit, with the client's own interface.

Written with the public interface of kafka-python alone, and set up as the runtime's transport is (read_committed,
all replicas, a retry backoff of 5 ms), so that it says what Kafka and the client cost, not what the runtime does.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from kafka import KafkaConsumer, KafkaProducer
from kafka.structs import OffsetAndMetadata

from consumers.runtime.kafka_reader import consumer_options
from consumers.runtime.kafka_writer import BATCH_BYTES, RETRY_BACKOFF_MS
from consumers.runtime.settings import RuntimeSettings
from consumers.runtime.stage import StageSpec
from schemas.errors import KafkaUnavailableError
from schemas.kafka_settings import KafkaSettings
from schemas.topics import Topic

_JOIN_ROUNDS = 300
_POLL_MS = 100


class EmptyLoop:
    """Copies every ``one_in``-th record's bytes to ``output``, one transaction a batch; it has no state."""

    def __init__(
        self,
        kafka: KafkaSettings,
        spec: StageSpec,
        output: Topic,
        *,
        one_in: int,
        max_batch_records: int = 2_000,
    ) -> None:
        self._output = kafka.named(output)
        self._one_in = one_in
        self._max_batch_records = max_batch_records
        self._consumer = KafkaConsumer(
            **consumer_options(kafka, RuntimeSettings()),
            group_id=f"{kafka.named(spec.name)}-{uuid.uuid4().hex[:8]}",
        )
        topics = [kafka.named(topic) for topic in spec.inputs]
        self._consumer.subscribe(topics)
        for topic in topics:  # known before the group is joined, or the first deal would be of nothing
            self._consumer.partitions_for_topic(topic)
        self._producer = KafkaProducer(
            **kafka.client_options(),
            transactional_id=uuid.uuid4().hex,
            acks="all",
            linger_ms=0,
            batch_size=BATCH_BYTES,
            retry_backoff_ms=RETRY_BACKOFF_MS,
            allow_auto_create_topics=False,
            metrics_enabled=False,
        )
        self._producer.init_transactions()
        self._first = self._join()

    def run_until(self, done: Callable[[int], bool]) -> None:
        """Loop until ``done``, which is told how many records were taken so far."""
        taken = 0
        while not done(taken):
            taken += self.run_once()

    def run_once(self) -> int:
        """One poll, and a transaction if something came; returns how many records."""
        polled = self._first or self._consumer.poll(_POLL_MS, self._max_batch_records)
        self._first = None
        if not polled:
            return 0
        producer = self._producer
        producer.begin_transaction()
        taken = 0
        for records in polled.values():
            for record in records[:: self._one_in]:
                producer.send(self._output, record.value, record.key)
            taken += len(records)
        ends = {
            partition: OffsetAndMetadata(records[-1].offset + 1, "", -1) for partition, records in polled.items()
        }
        producer.send_offsets_to_transaction(ends, self._consumer.group_metadata())
        producer.commit_transaction()
        return taken

    def close(self) -> None:
        """Leave the group."""
        self._producer.close()
        self._consumer.close(autocommit=False)

    def _join(self) -> Any:
        """Poll until partitions are dealt; what came with them is the first batch."""
        for _ in range(_JOIN_ROUNDS):
            polled = self._consumer.poll(_POLL_MS, 1)
            if self._consumer.assignment():
                return polled
        raise KafkaUnavailableError("the empty loop was dealt no partition")
