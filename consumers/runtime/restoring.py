"""Bringing shards of state back: after a start, a rebalance or an aborted transaction, by the one same way."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from consumers.runtime.decoding import Decoder
from consumers.runtime.outbox import Outbox
from consumers.runtime.progress import Progress, included_offsets
from consumers.runtime.records import TopicPartition
from consumers.runtime.stage import Stage
from consumers.runtime.transport import Assignment, Transport


class Restorer:
    """Keeps a stage's shards in step with the partitions that the process owns."""

    def __init__(self, stage: Stage, transport: Transport, decoder: Decoder, progress: Progress) -> None:
        self._stage = stage
        self._transport = transport
        self._decoder = decoder
        self._progress = progress
        self._owned: set[int] = set()
        self.version = -1
        """Version of the assignment that the state is in step with."""

    def reset(self) -> None:
        """Drop all state; the next ``adopt`` restores it."""
        self._stage.revoke(sorted(self._owned))
        self._progress.forget(list(self._progress.positions))
        self._owned.clear()
        self.version = -1

    def adopt(self, assignment: Assignment, out: Outbox, stopping: Callable[[], bool]) -> bool:
        """Revoke what was lost, restore what is new, start to read; False if the assignment moved meanwhile.

        Shards that have been owned without a break since the last time are kept as they are.
        """
        shards = {partition.partition for partition in assignment.since}
        kept = self._kept(assignment, shards)
        dropped = sorted(self._owned - kept)
        if dropped:
            self._stage.revoke(dropped)
            self._progress.forget([p for p in self._progress.positions if p.partition in dropped])
        new = sorted(shards - kept)
        self._owned = shards  # from here on a reset drops the new ones too, however far they have come
        begin = self._transport.committed(sorted(p for p in assignment.since if p.partition not in kept))

        def interrupted() -> bool:
            return stopping() or self._transport.assignment().version != assignment.version

        for partition, included in self._read_changelogs(new, begin, interrupted):
            begin[partition] = max(begin[partition], included)
        if interrupted():
            self._stage.revoke(new)
            self._owned = kept
            return False
        self._progress.begin(begin)
        self._stage.restored(new, out)
        self._transport.start(dict(self._progress.positions))
        self.version = assignment.version
        return True

    def _kept(self, assignment: Assignment, shards: set[int]) -> set[int]:
        new = {partition.partition for partition, since in assignment.since.items() if since > self.version}
        kept = (self._owned & shards) - new
        return set() if self._stage.spec.sole_owner and kept != shards else kept

    def _read_changelogs(
        self, shards: list[int], begin: dict[TopicPartition, int], interrupted: Callable[[], bool]
    ) -> Iterable[tuple[TopicPartition, int]]:
        """Feed the stage; yields the input offsets that the changelogs say they include."""
        spec = self._stage.spec
        if spec.source_changelog:
            self._read_inputs(begin, interrupted)
        reads: list[TopicPartition] = []
        for topic in spec.changelogs:
            numbers = range(self._transport.partition_count(topic.name)) if spec.sole_owner else shards
            reads += [TopicPartition(topic.name, number) for number in numbers if shards]
        for partition in reads:
            for records in self._transport.read(partition):
                messages = self._decoder.changelog(records)
                self._stage.restore(messages)
                for source, offset in included_offsets(messages).items():
                    if source in begin:
                        yield source, offset
                self._transport.keep_alive()
                if interrupted():
                    return

    def _read_inputs(self, begin: dict[TopicPartition, int], interrupted: Callable[[], bool]) -> None:
        """Feed the inputs before the committed offsets; what was refused then is left out again."""
        for partition, offset in begin.items():
            for records in self._transport.read(partition, offset):
                self._stage.restore(self._decoder.tables(records))
                self._transport.keep_alive()
                if interrupted():
                    return
