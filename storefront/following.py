"""Topics followed as they grow: every partition, committed records alone, in no consumer group."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self

from kafka import KafkaConsumer
from kafka import TopicPartition as KafkaPartition
from kafka.errors import KafkaError

from consumers.runtime.records import Record
from schemas.errors import KafkaUnavailableError
from schemas.kafka_settings import KafkaSettings
from schemas.topics import Topic
from storefront.errors import MissingTopicError

CONNECT_TIMEOUT_MS = 10_000
READ_TIMEOUT_SECONDS = 30.0
_WAIT_MS = 200
_REQUEST_TIMEOUT_MS = 15_000


class TopicFollower:
    """Reads whole topics and goes on following them; for one thread.

    Begins at the beginning, at the end as it is now, or at the ``positions`` of an earlier one. Raises
    ``KafkaUnavailableError`` when no Kafka answers, ``MissingTopicError`` when a topic is not there.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        topics: Sequence[Topic],
        *,
        start: Literal["beginning", "end"] | Mapping[Any, int] = "beginning",
        max_poll_records: int = 5_000,
    ) -> None:
        self._names = {settings.named(topic): topic.name for topic in topics}
        self._consumer = connected_consumer(settings, max_poll_records)
        try:
            partitions = [p for name in self._names for p in partitions_of(self._consumer, name)]
            self._consumer.assign(partitions)
            if start == "end":
                self._consumer.seek_to_end()
            else:
                self._consumer.seek_to_beginning()
            for partition in partitions if isinstance(start, Mapping) else ():
                if partition in start:
                    self._consumer.seek(partition, start[partition])
            self._partitions = partitions
            self._behind: dict[Any, int] = self._consumer.end_offsets(partitions)
        except KafkaError as error:
            self.close()
            raise KafkaUnavailableError(f"the topics cannot be followed: {_reason(error)}") from error
        except BaseException:
            self.close()
            raise

    @property
    def caught_up(self) -> bool:
        """True once everything that was on the topics at the start has been handed out."""
        if self._behind:
            position = self._consumer.position
            self._behind = {p: end for p, end in self._behind.items() if (position(p) or 0) < end}
        return not self._behind

    @property
    def positions(self) -> dict[Any, int]:
        """Where the next record of each partition is read, for a follower that goes on from here."""
        assignment = self._consumer._subscription.assignment  # noqa: SLF001 - position() would ask Kafka
        return {p: state.position.offset for p, state in assignment.items() if state.position is not None}

    @property
    def identity(self) -> str:
        """Names the topics' incarnation: a topic that was deleted and created again has another id."""
        cluster = self._consumer._manager.cluster  # noqa: SLF001 - kafka-python says it nowhere else
        return "+".join(str(cluster.topic_id(name)) for name in self._names)

    def ends(self, timeout_ms: int) -> dict[Any, int] | None:
        """Where the topics end now, for ``has_reached``; None where Kafka does not answer in time."""
        try:
            ends: dict[Any, int] = self._consumer.end_offsets(self._partitions, timeout_ms)
        except KafkaError:
            return None
        return ends

    def has_reached(self, ends: dict[Any, int]) -> bool:
        """True once everything before these offsets, by kafka-python's TopicPartition, has been handed out."""
        return all((self._consumer.position(partition) or 0) >= end for partition, end in ends.items())

    def poll(self, timeout_ms: int) -> list[Record]:
        """What is new, partition by partition in order, waiting up to ``timeout_ms`` for the first record."""
        batches = self._consumer.poll(timeout_ms=timeout_ms)
        names = self._names
        return [
            Record(names[r.topic], r.partition, r.offset, r.timestamp, r.key, r.value, r.headers or ())
            for records in batches.values()
            for r in records
        ]

    def to_end(self, timeout_seconds: float = READ_TIMEOUT_SECONDS) -> Iterator[list[Record]]:
        """Everything up to the end as it was at the start, in bounded batches.

        Raises ``KafkaUnavailableError`` when no record comes for ``timeout_seconds``.
        """
        deadline = time.monotonic() + timeout_seconds
        while not self.caught_up:
            records = self.poll(_WAIT_MS)
            if records:
                deadline = time.monotonic() + timeout_seconds
                yield records
            elif time.monotonic() > deadline:
                raise KafkaUnavailableError(
                    f"the end of {', '.join(self._names)} is not reached, and nothing came for "
                    f"{timeout_seconds:.0f} s; is Kafka up?"
                )

    def close(self) -> None:
        """Release the connections; may be called twice."""
        self._consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def connected_consumer(
    settings: KafkaSettings, max_poll_records: int, isolation_level: str = "read_committed"
) -> Any:
    """A kafka-python consumer without a group; raises ``KafkaUnavailableError``."""
    options = settings.client_options()
    try:
        return KafkaConsumer(
            **options,
            group_id=None,
            enable_auto_commit=False,
            isolation_level=isolation_level,
            auto_offset_reset="earliest",
            allow_auto_create_topics=False,
            max_poll_records=max_poll_records,
            fetch_max_wait_ms=250,
            retry_backoff_ms=20,
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
            bootstrap_timeout_ms=CONNECT_TIMEOUT_MS,
            metrics_enabled=False,
        )
    except KafkaError as error:
        raise KafkaUnavailableError(
            f"no Kafka answers at {','.join(options['bootstrap_servers'])} ({_reason(error)}); start one with "
            "`recsys kafka up`, or set KAFKA_BOOTSTRAP_SERVERS to the shop's own"
        ) from error


def partitions_of(consumer: Any, topic_name: str) -> list[Any]:
    """Every partition of a topic (named with prefix); raises ``MissingTopicError`` when there is none."""
    numbers = consumer.partitions_for_topic(topic_name)
    if not numbers:
        raise MissingTopicError(f"there is no topic {topic_name} on the cluster; create it with `recsys kafka up`")
    return [KafkaPartition(topic_name, number) for number in sorted(numbers)]


def _reason(error: KafkaError) -> str:
    return str(error) or type(error).__name__
