"""Reads whole topics outside the group: changelogs to their end, and tables from the beginning on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from kafka import KafkaConsumer
from kafka.structs import TopicPartition as KafkaPartition

from consumers.runtime.kafka_errors import connecting, kafka_errors
from consumers.runtime.records import Record, TopicPartition
from consumers.runtime.settings import RuntimeSettings
from schemas.errors import ConfigurationError
from schemas.kafka_settings import KafkaSettings

_CHUNK_RECORDS = 5_000
_WAIT_MS = 100
_FETCH_WAIT_MS = 500
_GATHERED_BYTES = 100_000
"""With as much as this there, nothing waits for more."""


def consumer_options(
    kafka: KafkaSettings, runtime: RuntimeSettings, fetch_max_wait_ms: int = _FETCH_WAIT_MS, gather_ms: int = 0
) -> dict[str, Any]:
    """What every consumer of the runtime has in common.

    ``fetch_max_wait_ms`` is how long the broker holds a fetch while there is nothing: it answers at once when
    something comes, but a fetch for other partitions has to wait for it. With ``gather_ms`` the broker holds what
    comes, too, for so long or until it is much: fewer and larger transactions, for each costs the same.
    """
    return {
        **kafka.client_options(),
        "isolation_level": "read_committed",
        "auto_offset_reset": "earliest",
        "enable_auto_commit": False,
        "allow_auto_create_topics": False,
        "fetch_max_wait_ms": gather_ms or fetch_max_wait_ms,
        "fetch_min_bytes": _GATHERED_BYTES if gather_ms else 1,
        "max_partition_fetch_bytes": 4_000_000,
        "retry_backoff_ms": 20,
        "reconnect_backoff_max_ms": runtime.reconnect_backoff_max_ms,
        "request_timeout_ms": runtime.request_timeout_ms,
        "bootstrap_timeout_ms": runtime.connect_timeout_ms,
        "metrics_enabled": False,
    }


class TopicReader:
    """A consumer without a group. ``partitions`` are ours, without the prefix."""

    def __init__(
        self,
        kafka: KafkaSettings,
        runtime: RuntimeSettings,
        fetch_max_wait_ms: int = _FETCH_WAIT_MS,
        gather_ms: int = 0,
    ) -> None:
        self._prefix = kafka.topic_prefix
        self._timeout_ms = runtime.request_timeout_ms
        with connecting(kafka):
            self._consumer = KafkaConsumer(**consumer_options(kafka, runtime, fetch_max_wait_ms, gather_ms))
            # Sees the log's end past transactions that are still open, which readers have to wait for.
            self._ends = KafkaConsumer(
                **{**consumer_options(kafka, runtime), "isolation_level": "read_uncommitted"}
            )
        self._targets: dict[KafkaPartition, int] = {}

    def partition_count(self, topic: str) -> int:
        """How many partitions a topic has; raises ``ConfigurationError`` when there is no such topic."""
        with kafka_errors(f"looking up {topic}"):
            found = self._consumer.partitions_for_topic(self._prefix + topic)
        if not found:
            raise ConfigurationError(
                f"there is no topic {self._prefix}{topic}; create the topics with `recsys kafka topics`"
            )
        return len(found)

    def follow(self, topics: Sequence[str]) -> None:
        """Read these topics whole from the beginning, and then what is new."""
        self._assign([TopicPartition(t, p) for t in topics for p in range(self.partition_count(t))])

    def poll(self, max_records: int, timeout_ms: int = 0) -> list[Record]:
        """What comes next on the followed topics."""
        with kafka_errors("reading a table"):
            polled = self._consumer.poll(timeout_ms, max_records)
        return to_records(polled, len(self._prefix))

    def caught_up(self) -> bool:
        """True once everything that was there when following began has been handed out."""
        with kafka_errors("reading a table"):
            self._targets = {
                partition: end
                for partition, end in self._targets.items()
                if (self._consumer.position(partition, self._timeout_ms) or 0) < end
            }
        return not self._targets

    def read(self, partition: TopicPartition, until_offset: int | None) -> Iterator[list[Record]]:
        """One partition to its end as it is now, or to an offset, with empty chunks while it waits."""
        self._assign([partition])
        (target,) = self._targets or (None,)
        if target is not None and until_offset is not None:
            self._targets[target] = min(until_offset, self._targets[target])
        while not self.caught_up():
            records = self.poll(_CHUNK_RECORDS, _WAIT_MS)
            if until_offset is not None:
                records = [record for record in records if record.offset < until_offset]
            yield records

    def close(self) -> None:
        """Release the connections."""
        for consumer in (self._consumer, self._ends):
            consumer.close(autocommit=False, timeout_ms=1_000)

    def _assign(self, partitions: Sequence[TopicPartition]) -> None:
        theirs = [KafkaPartition(self._prefix + topic, number) for topic, number in partitions]
        with kafka_errors("reading a topic's end"):
            self._consumer.assign(theirs)
            self._consumer.seek_to_beginning(*theirs)
            ends = self._ends.end_offsets(theirs, self._timeout_ms)
            begins = self._ends.beginning_offsets(theirs, self._timeout_ms)
        self._targets = {partition: end for partition, end in ends.items() if end > begins[partition]}


def to_records(polled: Any, prefix_length: int) -> list[Record]:
    """The client's records as ours, partition by partition."""
    records: list[Record] = []
    for (topic, number), theirs in sorted(polled.items()):
        name = topic[prefix_length:]
        records.extend(Record(name, number, r.offset, r.timestamp, r.key, r.value, r.headers) for r in theirs)
    return records
