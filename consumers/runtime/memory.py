"""The log in memory: the same contract as Kafka's, for tests and for evaluation without a broker.

A crash is one line of a test: ``log.fail_next_commit("before")`` loses the transaction, ``"after"`` commits
it and loses the answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from consumers.runtime.partitioning import key_partition
from consumers.runtime.records import Headers, OutRecord, Record, TopicPartition
from consumers.runtime.transport import Assignment
from schemas.errors import ConfigurationError, FencedError, TransactionAbortedError
from schemas.topics import TOPICS

Failure = Literal["before", "after"]

READ_CHUNK_RECORDS = 1_000


class MemoryLog:
    """Topics, committed offsets and groups; one object stands for one cluster."""

    def __init__(self, partitions: int = 3, *, now_ms: int = 0) -> None:
        self.partitions = partitions
        self.now_ms = now_ms
        """The broker's clock; a test sets it."""
        self._logs: dict[TopicPartition, list[Record]] = {
            TopicPartition(name, p): [] for name in TOPICS for p in range(partitions)
        }
        self._begins: dict[TopicPartition, int] = dict.fromkeys(self._logs, 0)
        self._offsets: dict[tuple[str, TopicPartition], int] = {}
        self._groups: dict[str, list[MemoryTransport]] = {}
        self._failures: list[Failure] = []

    def append(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        *,
        partition: int | None = None,
        headers: Headers = (),
        timestamp_ms: int | None = None,
    ) -> Record:
        """Write one record; the topic says whose clock its timestamp is."""
        if partition is None:
            partition = key_partition(key, self.partitions) if key is not None else 0
        log = self._logs.get(TopicPartition(topic, partition))
        if log is None:
            raise ConfigurationError(f"no partition {partition} of a topic {topic!r}")
        if timestamp_ms is None or TOPICS[topic].broker_time:
            timestamp_ms = self.now_ms
        offset = self.end(TopicPartition(topic, partition))
        record = Record(topic, partition, offset, timestamp_ms, key, value, tuple(headers))
        log.append(record)
        return record

    def records(self, topic: str) -> list[Record]:
        """Everything on a topic, partition by partition."""
        return [record for p in range(self.partitions) for record in self._logs[TopicPartition(topic, p)]]

    def table(self, topic: str) -> dict[bytes, bytes]:
        """What compaction leaves of a topic: the last value of each key, tombstones gone."""
        latest = {r.key: r.value for r in self.records(topic) if r.key is not None}
        return {key: value for key, value in latest.items() if value is not None}

    def fail_next_commit(self, *failures: Failure) -> None:
        """Make the next commits fail, in this order, before or after they took effect."""
        self._failures.extend(failures)

    def slice(self, partition: TopicPartition, begin: int, end: int | None = None) -> list[Record]:
        """Records of a partition by offset."""
        first = self._begins[partition]
        return self._logs[partition][max(0, begin - first) : None if end is None else max(0, end - first)]

    def end(self, partition: TopicPartition) -> int:
        """The next offset of a partition."""
        return self._begins[partition] + len(self._logs[partition])

    def drop_consumed(self) -> None:
        """Let go of the records that every member has taken; no state can be restored from them afterwards."""
        members = [member for group in self._groups.values() for member in group]
        for partition, log in self._logs.items():
            taken = [member.taken(partition) for member in members]
            low = min((position for position in taken if position is not None), default=self.end(partition))
            del log[: low - self._begins[partition]]
            self._begins[partition] = max(low, self._begins[partition])

    def committed(self, group: str, partition: TopicPartition) -> int:
        """The committed offset of a group, 0 before the first."""
        return self._offsets.get((group, partition), 0)

    def commit(self, group: str, records: Sequence[OutRecord], offsets: Mapping[TopicPartition, int]) -> None:
        """One transaction, all or nothing."""
        failure = self._failures.pop(0) if self._failures else None
        if failure == "before":
            raise TransactionAbortedError("the transaction was lost before it committed, as the test asked")
        for r in records:
            self.append(
                r.topic, r.key, r.value, partition=r.partition, headers=r.headers, timestamp_ms=r.timestamp_ms
            )
        self._offsets.update({(group, partition): offset for partition, offset in offsets.items()})
        if failure == "after":
            raise TransactionAbortedError("the answer was lost after the commit, as the test asked")

    def join(self, group: str, member: MemoryTransport) -> None:
        """A member comes; everybody's partitions are dealt anew."""
        self._groups.setdefault(group, []).append(member)
        self._rebalance(group)

    def leave(self, group: str, member: MemoryTransport) -> None:
        """A member goes, gracefully or killed."""
        members = self._groups.get(group, [])
        if member in members:
            members.remove(member)
            self._rebalance(group)

    def _rebalance(self, group: str) -> None:
        members = self._groups[group]
        for index, member in enumerate(members):
            if member.sole_owner:
                numbers = list(range(self.partitions)) if index == 0 else []
            else:
                numbers = list(range(index, self.partitions, len(members)))
            member.assign(numbers)


class MemoryTransport:
    """A member of a group on a ``MemoryLog``."""

    def __init__(
        self,
        log: MemoryLog,
        group: str,
        inputs: Sequence[str],
        tables: Sequence[str] = (),
        *,
        sole_owner: bool = False,
    ) -> None:
        self._log = log
        self._group = group
        self._inputs = inputs
        self.sole_owner = sole_owner
        self._tables = {TopicPartition(t, p): 0 for t in tables for p in range(log.partitions)}
        self._assignment = Assignment(0, {})
        self._positions: dict[TopicPartition, int] = {}
        self._closed = False
        log.join(group, self)

    def assign(self, numbers: Sequence[int]) -> None:
        """Called by the log when the group's partitions are dealt anew."""
        self._assignment = self._assignment.dealt(TopicPartition(t, n) for t in self._inputs for n in numbers)
        self._positions = {}

    def taken(self, partition: TopicPartition) -> int | None:
        """How far this member has read a partition; None for one that it does not read."""
        positions = [p.get(partition) for p in (self._positions, self._tables)]
        return min((position for position in positions if position is not None), default=None)

    def assignment(self) -> Assignment:
        return self._assignment

    def poll(self, max_records: int, timeout_ms: int) -> list[Record]:
        records: list[Record] = []
        for partition, position in sorted(self._positions.items()):
            chunk = self._log.slice(partition, position, position + max_records - len(records))
            self._positions[partition] += len(chunk)
            records += chunk
        return records

    def keep_alive(self) -> None:
        """Nothing expires in memory."""

    def committed(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return {partition: self._log.committed(self._group, partition) for partition in partitions}

    def start(self, positions: Mapping[TopicPartition, int]) -> None:
        self._positions = dict(positions)

    def read(self, partition: TopicPartition, until_offset: int | None = None) -> Iterator[list[Record]]:
        end = self._log.end(partition) if until_offset is None else until_offset
        for begin in range(0, end, READ_CHUNK_RECORDS):
            yield self._log.slice(partition, begin, min(begin + READ_CHUNK_RECORDS, end))

    def partition_count(self, topic: str) -> int:
        return self._log.partitions

    def poll_tables(self, max_records: int) -> list[Record]:
        records: list[Record] = []
        for partition, position in self._tables.items():
            chunk = self._log.slice(partition, position, position + max_records - len(records))
            self._tables[partition] += len(chunk)
            records += chunk
        return records

    def tables_caught_up(self) -> bool:
        return all(position >= self._log.end(partition) for partition, position in self._tables.items())

    def commit(self, records: Sequence[OutRecord], offsets: Mapping[TopicPartition, int]) -> None:
        if self._closed or not offsets.keys() <= self._assignment.since.keys():
            raise FencedError("the partitions of this transaction belong to another member now")
        self._log.commit(self._group, records, offsets)

    def lag(self) -> dict[TopicPartition, int]:
        return {p: self._log.end(p) - position for p, position in self._positions.items()}

    def kill(self) -> None:
        """Go without a word, as a killed process does; what it tries afterwards is fenced."""
        self._closed = True
        self._log.leave(self._group, self)

    def close(self) -> None:
        self.kill()
