"""The one seam to the log: what the worker asks of Kafka, or of the in-memory log in tests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from consumers.runtime.records import OutRecord, Record, TopicPartition


@dataclass(frozen=True, slots=True)
class Assignment:
    """The partitions that this process owns now; ``version`` grows with every change of them.

    ``since`` gives the version since which each has been owned without a break. Where that is older than the
    state that a process has of it, nobody else can have written to it meanwhile.
    """

    version: int
    since: Mapping[TopicPartition, int]

    def dealt(self, partitions: Iterable[TopicPartition]) -> Assignment:
        """The next one, after these were dealt to this process."""
        version = self.version + 1
        return Assignment(version, {p: self.since.get(p, version) for p in partitions})


class Transport(Protocol):
    """A read_committed consumer in a group and a transactional producer, seen as one thing.

    Newly assigned partitions deliver nothing until ``start`` names the offset to begin at.
    """

    def assignment(self) -> Assignment:
        """The partitions owned; changes only while ``poll`` or ``keep_alive`` runs."""
        ...

    def poll(self, max_records: int, timeout_ms: int) -> list[Record]:
        """Input records in partition order, waiting up to ``timeout_ms`` for the first."""
        ...

    def keep_alive(self) -> None:
        """Stay in the group during long work, without taking records."""
        ...

    def committed(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Committed offsets, once no transaction over them is pending; the log's beginning where none is."""
        ...

    def start(self, positions: Mapping[TopicPartition, int]) -> None:
        """Deliver these partitions from these offsets on."""
        ...

    def read(self, partition: TopicPartition, until_offset: int | None = None) -> Iterator[list[Record]]:
        """Committed records from the beginning to the end as it is now, or to ``until_offset`` exclusive.

        Yields in bounded chunks, an empty one while waiting, so that the caller can keep alive.
        """
        ...

    def partition_count(self, topic: str) -> int:
        """How many partitions a topic has."""
        ...

    def poll_tables(self, max_records: int) -> list[Record]:
        """What is new on the followed tables, without waiting; empty when nothing is."""
        ...

    def tables_caught_up(self) -> bool:
        """True once everything that was on the tables at the start has been handed out."""
        ...

    def commit(self, records: Sequence[OutRecord], offsets: Mapping[TopicPartition, int]) -> None:
        """Write records and input offsets in one transaction; without offsets nothing fences a former owner.

        Raises ``TransactionAbortedError`` where it did not, or may not have, committed, and
        ``FencedError`` where another process took over; the caller restores before it goes on.
        """
        ...

    def lag(self) -> dict[TopicPartition, int]:
        """Records behind the end of each owned partition, as far as known without asking."""
        ...

    def close(self) -> None:
        """Leave the group and release connections, within a bounded time."""
        ...
