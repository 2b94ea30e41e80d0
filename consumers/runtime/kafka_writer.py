"""Writes transactions: outputs, changelog and input offsets together, or none of them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError
from kafka.structs import TopicPartition

from consumers.runtime.kafka_errors import connecting, translated
from consumers.runtime.partitioning import key_partition
from consumers.runtime.records import OutRecord
from consumers.runtime.settings import RuntimeSettings
from schemas.errors import ConfigurationError
from schemas.kafka_settings import KafkaSettings

RETRY_BACKOFF_MS = 5
"""Between the steps of a transaction; the client's default of 100 ms makes each transaction take as long."""

BATCH_BYTES = 512_000
"""Records of a partition that go into one request."""

_CLOSE_SECONDS = 2.0
_ABORT_MS = 2_000

_DELIVERY_TIMEOUTS = 10
"""How much longer than a transaction the client may try to deliver. It commits a transaction without the records
that it gave up (kafka-python 3.0 leaves its state as it is then), so it must never be the first to give up."""


class TransactionalWriter:
    """A transactional producer that is made anew after every transaction that did not plainly commit.

    Making it anew under the same transactional id aborts on the broker whatever the former one left open.
    """

    def __init__(self, kafka: KafkaSettings, runtime: RuntimeSettings, transactional_id: str) -> None:
        self._kafka = kafka
        self._runtime = runtime
        self._transactional_id = transactional_id
        self._producer: Any = None
        self._partitions: dict[str, int] = {}

    def commit(self, records: Sequence[OutRecord], offsets: Mapping[Any, Any], group: Any) -> None:
        """One transaction; ``TransactionAbortedError`` or ``FencedError`` where it may not have committed."""
        try:
            self._commit(self._ready(), records, offsets, group)
        except BaseException as error:
            self._abort()
            self._discard()
            if isinstance(error, KafkaError):
                raise translated(error, "writing a transaction", in_transaction=True) from error
            raise

    def prepare(self) -> None:
        """Connect now, which ends at once what a predecessor of the same id has left open."""
        try:
            self._ready()
        except BaseException as error:
            self._discard()
            if isinstance(error, KafkaError):
                raise translated(error, "preparing transactions") from error
            raise

    def close(self) -> None:
        """Let go of the producer; what was not committed is not there."""
        self._discard()

    def _commit(self, producer: Any, records: Sequence[OutRecord], offsets: Mapping[Any, Any], group: Any) -> None:
        # The public methods wait without a limit, which would hang with the broker gone.
        deadline = time.monotonic() + self._runtime.commit_timeout_ms / 1000
        manager, sender = producer._transaction_manager, producer._sender  # noqa: SLF001
        epoch = manager.producer_id_and_epoch
        producer.begin_transaction()
        self._send(producer, records)
        if offsets:
            pending = manager.send_offsets_to_transaction(offsets, group)
            sender.wakeup()
            self._wait(pending, deadline)
        pending = manager.begin_commit()
        sender.wakeup()
        self._wait(pending, deadline)
        if manager.producer_id_and_epoch != epoch:
            # kafka-python 3.0 got itself a new epoch (KIP-360), which aborts, and says that it committed.
            raise KafkaError("the transaction was aborted by a new producer epoch")

    def _wait(self, pending: Any, deadline: float) -> None:
        if not pending.wait(timeout_ms=max(0.0, deadline - time.monotonic()) * 1000):
            raise KafkaTimeoutError(f"it took more than {self._runtime.commit_timeout_ms} ms")

    def _send(self, producer: Any, records: Sequence[OutRecord]) -> None:
        # What the public send() does for a record with key, value and partition as bytes, without its checks of
        # every argument and its log lines, which take more time than the rest.
        named, partitions = self._kafka.topic_prefix, self._partitions
        manager, accumulator = producer._transaction_manager, producer._accumulator  # noqa: SLF001
        added: set[TopicPartition] = set()
        for topic, key, value, partition, headers, timestamp_ms in records:
            count = partitions.get(topic)
            if count is None:
                count = partitions[topic] = self._count(producer, named + topic)
            if partition is None:
                partition = key_partition(key, count) if key is not None else 0
            target = TopicPartition(named + topic, partition)
            if target not in added:
                manager.maybe_add_partition_to_transaction(target)
                added.add(target)
            _, is_full, is_new, _ = accumulator.append(target, timestamp_ms, key, value, list(headers))
            if is_full or is_new:
                producer._sender.wakeup()  # noqa: SLF001

    def _count(self, producer: Any, topic: str) -> int:
        found = producer.partitions_for(topic)
        if not found:
            raise ConfigurationError(f"there is no topic {topic}; create the topics with `recsys kafka topics`")
        return len(found)

    def _ready(self) -> Any:
        if self._producer is None:
            self._partitions.clear()
            with connecting(self._kafka):
                producer = KafkaProducer(
                    **self._kafka.client_options(),
                    transactional_id=self._transactional_id,
                    transaction_timeout_ms=self._runtime.transaction_timeout_ms,
                    acks="all",
                    linger_ms=0,
                    batch_size=BATCH_BYTES,
                    max_request_size=8_000_000,
                    retry_backoff_ms=RETRY_BACKOFF_MS,
                    reconnect_backoff_max_ms=self._runtime.reconnect_backoff_max_ms,
                    max_block_ms=self._runtime.commit_timeout_ms,
                    request_timeout_ms=self._runtime.request_timeout_ms,
                    delivery_timeout_ms=_DELIVERY_TIMEOUTS
                    * max(self._runtime.commit_timeout_ms, self._runtime.request_timeout_ms),
                    bootstrap_timeout_ms=self._runtime.connect_timeout_ms,
                    allow_auto_create_topics=False,
                    metrics_enabled=False,
                )
            self._producer = producer
            producer.init_transactions()
        return self._producer

    def _abort(self) -> None:
        """End the transaction if that can be done at once: an open one holds up every read_committed reader."""
        if self._producer is None:
            return
        try:
            pending = self._producer._transaction_manager.begin_abort()  # noqa: SLF001
            self._producer._sender.wakeup()  # noqa: SLF001
            pending.wait(timeout_ms=_ABORT_MS)
        except KafkaError:
            pass  # it may have committed, or is fenced: the next producer of this id ends it, or its timeout does

    def _discard(self) -> None:
        producer, self._producer = self._producer, None
        if producer is None:
            return
        try:
            # kafka-python's close() waits for what is unsent and raises when it does not get through.
            producer._sender.force_close()  # noqa: SLF001
            producer._sender.join(_CLOSE_SECONDS)  # noqa: SLF001
            producer.close(timeout=0)
        except (KafkaError, RuntimeError):
            pass
