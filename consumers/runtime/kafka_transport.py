"""The log in Kafka: a read_committed consumer in a group, tables beside it, and a transactional producer.

Sources: KIP-98 (transactions), KIP-447 (a group's generation fences its former members), KIP-345 (static
membership, where the process has an instance name).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from kafka import KafkaConsumer
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.structs import OffsetAndMetadata
from kafka.structs import TopicPartition as KafkaPartition

from consumers.runtime.assignors import SoleOwnerAssignor
from consumers.runtime.kafka_errors import kafka_errors
from consumers.runtime.kafka_joining import PatientJoin
from consumers.runtime.kafka_reader import TopicReader, consumer_options, to_records
from consumers.runtime.kafka_writer import TransactionalWriter
from consumers.runtime.records import OutRecord, Record, TopicPartition
from consumers.runtime.settings import RuntimeSettings
from consumers.runtime.stage import StageSpec
from consumers.runtime.transport import Assignment
from schemas.errors import ConfigurationError, FencedError
from schemas.kafka_settings import KafkaSettings

_KEEP_ALIVE_MS = 5

_RESTORE_FETCH_WAIT_MS = 10
"""Partitions are restored one after the other, and each has to wait for the fetch of the one before."""


class KafkaTransport:
    """A member of a stage's group on a cluster; see ``Transport`` for what its methods promise."""

    def __init__(self, spec: StageSpec, kafka: KafkaSettings, runtime: RuntimeSettings | None = None) -> None:
        runtime = runtime or RuntimeSettings()
        self._prefix = kafka.topic_prefix
        self._timeout_ms = runtime.request_timeout_ms
        self._group = kafka.named(spec.name)
        member = f"{self._group}-{runtime.instance or uuid.uuid4().hex[:12]}"
        self._reader = TopicReader(kafka, runtime, _RESTORE_FETCH_WAIT_MS)
        self._check_partitions(spec)
        self._tables: TopicReader | None = None
        if spec.tables:
            self._tables = TopicReader(kafka, runtime, gather_ms=spec.gather_tables_ms)
            self._tables.follow([topic.name for topic in spec.tables])
        self._writer = TransactionalWriter(kafka, runtime, member)
        self._membership: Any = None
        self._held: set[KafkaPartition] = set()
        with kafka_errors("joining the group"):
            self._consumer = KafkaConsumer(
                **consumer_options(kafka, runtime, gather_ms=spec.gather_ms),
                group_id=self._group,
                group_instance_id=member if runtime.instance else None,
                client_id=member,
                session_timeout_ms=runtime.session_timeout_ms,
                heartbeat_interval_ms=runtime.heartbeat_interval_ms,
                max_poll_interval_ms=runtime.max_poll_interval_ms,
                partition_assignment_strategy=(
                    SoleOwnerAssignor() if spec.sole_owner else RangePartitionAssignor,
                ),
            )
            self._join = PatientJoin(self._consumer._coordinator)  # noqa: SLF001
            self._changes = _Changes(self._ours, self._join.taken)
            topics = [kafka.named(topic) for topic in spec.inputs]
            self._consumer.subscribe(topics, listener=self._changes)
            for topic in topics:  # known before the group is joined, or the first deal would be of nothing
                self._consumer.partitions_for_topic(topic)

    def assignment(self) -> Assignment:
        """The partitions owned now."""
        return self._changes.assignment

    def poll(self, max_records: int, timeout_ms: int) -> list[Record]:
        """Input records; none of partitions that were only just assigned."""
        with kafka_errors("reading input"):
            polled = self._poll(max_records, timeout_ms)
        return to_records(polled, len(self._prefix))

    def keep_alive(self) -> None:
        """Heartbeats go out by themselves; this says that the work goes on, and lets a rebalance happen."""
        with kafka_errors("staying in the group"):
            flowing = self._consumer.assignment() - self._held
            self._consumer.pause(*flowing)
            self._poll(1, _KEEP_ALIVE_MS)
            self._consumer.resume(*flowing - self._held)

    def committed(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Committed offsets, once no transaction over them is pending (KIP-447)."""
        theirs = [self._theirs(partition) for partition in partitions]
        if not theirs:
            return {}
        self._writer.prepare()
        with kafka_errors("reading committed offsets"):
            coordinator = self._consumer._coordinator  # noqa: SLF001  (the public method asks for one at a time)
            found = coordinator.fetch_committed_offsets(theirs, timeout_ms=self._timeout_ms)
            fresh = [partition for partition in theirs if partition not in found]
            begins = self._consumer.beginning_offsets(fresh, self._timeout_ms) if fresh else {}
        return {
            self._ours(partition): found[partition].offset if partition in found else begins[partition]
            for partition in theirs
        }

    def start(self, positions: Mapping[TopicPartition, int]) -> None:
        """Deliver these partitions from these offsets on."""
        with kafka_errors("starting to read"):
            for partition, offset in positions.items():
                theirs = self._theirs(partition)
                self._consumer.seek(theirs, offset)
                self._held.discard(theirs)
            self._consumer.resume(*map(self._theirs, positions))

    def read(self, partition: TopicPartition, until_offset: int | None = None) -> Iterator[list[Record]]:
        """A whole partition, outside the group."""
        return self._reader.read(partition, until_offset)

    def partition_count(self, topic: str) -> int:
        """How many partitions a topic has."""
        return self._reader.partition_count(topic)

    def poll_tables(self, max_records: int) -> list[Record]:
        """What is new on the followed tables; waits only until they have been read once."""
        if self._tables is None:
            return []
        return self._tables.poll(max_records, 0 if self._tables.caught_up() else _KEEP_ALIVE_MS)

    def tables_caught_up(self) -> bool:
        """True once what was on the tables at the start has been handed out."""
        return self._tables is None or self._tables.caught_up()

    def commit(self, records: Sequence[OutRecord], offsets: Mapping[TopicPartition, int]) -> None:
        """One transaction, in the name of the generation of the group that the input came under.

        Kafka fences by the generation, not by who owns a partition, and fences nobody who names none: kafka-python
        forgets its generation when it hears that the group went on without it.
        """
        member, owned = self._membership, self._changes.assignment.since
        if member is None or member.generation_id < 0 or not offsets.keys() <= owned.keys():
            raise FencedError("the group went on without this process")
        theirs = {self._theirs(p): OffsetAndMetadata(offset, "", -1) for p, offset in offsets.items()}
        self._writer.commit(records, theirs, member)

    def lag(self) -> dict[TopicPartition, int]:
        """Records behind the last known end of each partition."""
        lag: dict[TopicPartition, int] = {}
        for partition in self._consumer.assignment():
            end = self._consumer.highwater(partition)
            state = self._consumer._subscription.assignment.get(partition)  # noqa: SLF001  (position() may wait)
            if end is not None and state is not None and state.position is not None:
                lag[self._ours(partition)] = max(0, end - state.position.offset)
        return lag

    def close(self) -> None:
        """Leave the group and release the connections, each within a bounded time."""
        self._writer.close()
        with kafka_errors("leaving the group"):
            self._consumer.close(autocommit=False, timeout_ms=2_000)
            self._reader.close()
            if self._tables is not None:
                self._tables.close()

    def _poll(self, max_records: int, timeout_ms: int) -> Any:
        assignment = self._changes.assignment
        self._join.insist()
        polled = self._consumer.poll(timeout_ms, max_records)
        if self._changes.assignment is assignment:
            return polled
        # Only now: while a join is under way the client names a generation whose assignment it does not know yet.
        self._membership = self._consumer.group_metadata()
        self._hold()
        return {}

    def _check_partitions(self, spec: StageSpec) -> None:
        """A shard is one number in all of its topics, so they need equally many partitions."""
        topics = (*spec.inputs, *spec.changelogs)
        counts = {self._prefix + topic.name: self._reader.partition_count(topic.name) for topic in topics}
        if not spec.sole_owner and len(set(counts.values())) > 1:
            raise ConfigurationError(
                f"{spec.name} needs topics with equally many partitions, but they have {counts}; create them anew "
                "with `recsys kafka topics`, or give those with fewer more partitions while they are empty"
            )

    def _hold(self) -> None:
        """Newly assigned partitions wait for ``start``: where to begin is not the client's to decide."""
        self._held = set(self._consumer.assignment())
        self._consumer.pause(*self._held)

    def _theirs(self, partition: TopicPartition) -> KafkaPartition:
        return KafkaPartition(self._prefix + partition.topic, partition.partition)

    def _ours(self, partition: Any) -> TopicPartition:
        return TopicPartition(partition.topic[len(self._prefix) :], partition.partition)


class _Changes(ConsumerRebalanceListener):  # type: ignore[misc]
    """Keeps account of what is owned. Nothing else is done while partitions are revoked: between two polls there
    is no uncommitted work, and the state of what is lost is dropped when the worker adopts what it owns then."""

    def __init__(self, ours: Callable[[Any], TopicPartition], on_dealt: Callable[[], None]) -> None:
        self._ours = ours
        self._on_dealt = on_dealt
        self.assignment = Assignment(0, {})

    def on_partitions_revoked(self, revoked: Iterable[Any]) -> None:
        """The group deals anew, and names all that is owned; what stays is known when it has dealt."""

    def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        """The group has dealt; these are all that is owned."""
        self.assignment = self.assignment.dealt(map(self._ours, assigned))
        self._on_dealt()

    def on_partitions_lost(self, lost: Iterable[Any]) -> None:
        """The group went on without this process."""
        self.assignment = self.assignment.dealt(())
