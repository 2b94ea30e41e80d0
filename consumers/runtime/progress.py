"""How far a stage has come on each partition, and how far it may commit."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from consumers.runtime.outbox import Outbox
from consumers.runtime.records import OutRecord, Record, TopicPartition
from consumers.runtime.stage import AnyMessage, StageSpec

SOURCE_OFFSETS_HEADER = "recsys.source_offsets"
"""Header of changelog records: the next input offsets, as JSON {"topic/partition": offset}."""


class Progress:
    """Positions (next offset to process) and commits (next offset after everything finished)."""

    def __init__(self, spec: StageSpec) -> None:
        self._spec = spec
        self._changelogs = frozenset(topic.name for topic in spec.changelogs)
        self.positions: dict[TopicPartition, int] = {}
        self.committed: dict[TopicPartition, int] = {}
        self._deferred: dict[TopicPartition, set[int]] = {}

    def begin(self, positions: Mapping[TopicPartition, int]) -> None:
        """Start these partitions anew."""
        for partition, offset in positions.items():
            self.positions[partition] = self.committed[partition] = offset
            self._deferred.pop(partition, None)

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """These partitions are somebody else's now."""
        for partition in partitions:
            self.positions.pop(partition, None)
            self.committed.pop(partition, None)
            self._deferred.pop(partition, None)

    def advance(self, records: Sequence[Record]) -> None:
        """These records were taken."""
        ends = {record[:2]: record.offset for record in records}
        self.positions.update((TopicPartition(*partition), offset + 1) for partition, offset in ends.items())

    def note(self, out: Outbox) -> None:
        """Take over what the stage deferred and settled."""
        for topic, partition, offset in out.deferred:
            self._deferred.setdefault(TopicPartition(topic, partition), set()).add(offset)
        for topic, partition, offset in out.settled:
            self._deferred.get(TopicPartition(topic, partition), set()).discard(offset)

    def to_commit(self) -> dict[TopicPartition, int]:
        """Offsets that moved since the last commit; a deferred message holds its partition back."""
        moved: dict[TopicPartition, int] = {}
        for partition, position in self.positions.items():
            offset = min(self._deferred.get(partition) or (position,))
            if offset != self.committed.get(partition):
                moved[partition] = offset
        return moved

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """These offsets were committed."""
        self.committed.update(offsets)

    def stamp(self, records: Sequence[OutRecord], offsets: Mapping[TopicPartition, int]) -> list[OutRecord]:
        """Give the changelog records the header that says which input they include."""
        if not self._changelogs:
            return list(records)
        headers: dict[int | None, list[tuple[str, bytes]]] = {}
        stamped = []
        for record in records:
            if record.topic in self._changelogs and record.value is not None:
                shard = None if self._spec.sole_owner else record.partition
                if shard not in headers:
                    headers[shard] = [(SOURCE_OFFSETS_HEADER, self._offsets_json(shard, offsets))]
                record = record._replace(headers=headers[shard])
            stamped.append(record)
        return stamped

    def _offsets_json(self, shard: int | None, offsets: Mapping[TopicPartition, int]) -> bytes:
        included = {**self.committed, **offsets}
        return json.dumps(
            {f"{p.topic}/{p.partition}": o for p, o in sorted(included.items()) if shard in (None, p.partition)}
        ).encode()


def included_offsets(messages: Iterable[AnyMessage]) -> dict[TopicPartition, int]:
    """The furthest input offsets that these changelog records say they include."""
    included: dict[TopicPartition, int] = {}
    last = b""
    for message in messages:
        for name, value in message.record.headers:
            if name != SOURCE_OFFSETS_HEADER or value == last:
                continue
            last = value
            for text, offset in json.loads(value).items():
                topic, _, number = text.rpartition("/")
                partition = TopicPartition(topic, int(number))
                included[partition] = max(offset, included.get(partition, 0))
    return included
