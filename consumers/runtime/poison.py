"""One bad message never ends the stream: the message of a batch that fails the stage is found and set aside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn

from consumers.runtime.decoding import undecoded
from consumers.runtime.outbox import Outbox
from consumers.runtime.records import Record, TopicPartition
from schemas.errors import TransactionAbortedError


class PoisonIsolation:
    """After a batch fails its messages are fed one by one; the one that fails alone becomes a dead letter.

    The state may be half changed by a failure, so it is restored each time. ``limit`` bounds the messages of one
    batch that may fail: more, and it is not the messages that are at fault.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._ends: dict[TopicPartition, int] = {}
        self._errors: dict[tuple[TopicPartition, int], Exception] = {}

    @property
    def isolating(self) -> bool:
        """True while messages have to come one by one."""
        return bool(self._ends)

    def isolate(self, records: Sequence[Record], error: Exception) -> NoReturn:
        """The stage failed on these; raises what makes the worker restore, or ``error`` past the limit."""
        for record in records:
            partition = TopicPartition(record.topic, record.partition)
            self._ends[partition] = max(record.offset + 1, self._ends.get(partition, 0))
        if len(records) == 1:
            self._errors[partition, record.offset] = error
            if len(self._errors) > self._limit:
                raise error
        raise TransactionAbortedError(f"a batch of {len(records)} failed: {error!r}") from error

    def sift(self, records: Sequence[Record], out: Outbox) -> Sequence[Record]:
        """Refuse the messages that are known to fail; returns the others."""
        if not self._errors:
            return records
        sound = []
        for record in records:
            error = self._errors.get((TopicPartition(record.topic, record.partition), record.offset))
            if error is None:
                sound.append(record)
            else:
                out.refuse(undecoded(record), error)
        return sound

    def passed(self, positions: Mapping[TopicPartition, int]) -> None:
        """Everything before these positions is committed; once the failed batches are, all is well again."""
        if not self._ends:
            return
        self._ends = {p: end for p, end in self._ends.items() if positions.get(p, end) < end}
        if not self._ends:
            self._errors.clear()
