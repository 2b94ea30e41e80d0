"""What is on the topics since a moment, and how far the stages have come: counted from Kafka itself."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from consumers.runtime.stage import StageSpec
from schemas.errors import KafkaUnavailableError
from schemas.kafka_settings import KafkaSettings
from schemas.topics import Topic
from storefront.following import CONNECT_TIMEOUT_MS, connected_consumer, partitions_of

_POLL_MS = 100
_READ_RECORDS = 5_000
_READ_SECONDS = 30.0
_LOOK_SECONDS = 2.0
_BETWEEN_LOOKS_SECONDS = 0.25

Offsets = dict[Any, int]
"""Offsets by kafka-python's TopicPartition."""


class Ledger:
    """Counts records and backlogs of topics from the moment that it is opened; for one thread.

    ``group_of`` gives the consumer group of a stage. Backlogs are of committed records: the markers that
    transactions leave on a topic are not counted, which the difference of two offsets would. Of a transaction
    that is open at the time, its outcome is waited for, since a stage's offsets can be seen to be committed a
    moment before its outputs are.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        stages: Sequence[StageSpec],
        topics: Sequence[Topic],
        group_of: Callable[[str], str],
    ) -> None:
        self._settings = settings
        self._stages = {spec.name: spec for spec in stages}
        self._group_of = group_of
        self._consumer = connected_consumer(settings, _READ_RECORDS)
        # kafka-python asks for the ends of partitions that its metadata covers, which are those assigned last,
        # and leaves out the others in silence: so this one is assigned everything, and never polled.
        self._watcher = connected_consumer(settings, _READ_RECORDS, "read_uncommitted")
        try:
            self._admin = KafkaAdminClient(
                **settings.client_options(), bootstrap_timeout_ms=CONNECT_TIMEOUT_MS, retry_backoff_ms=20
            )
            all_topics = dict.fromkeys([*topics, *(topic for spec in stages for topic in spec.inputs)])
            self._partitions = {t.name: partitions_of(self._watcher, settings.named(t)) for t in all_topics}
            self._watcher.assign([p for partitions in self._partitions.values() for p in partitions])
            self._begin = self.ends(all_topics)
        except KafkaError as error:
            self._close_consumers()
            raise KafkaUnavailableError(f"the topics cannot be counted: {error}") from error
        except BaseException:
            self._close_consumers()
            raise

    def close(self) -> None:
        """Release the connections."""
        self._close_consumers()
        self._admin.close()

    def _close_consumers(self) -> None:
        self._consumer.close()
        self._watcher.close()

    def is_new(self, topic: str, partition: int, offset: int) -> bool:
        """True for a message that came after the ledger was opened."""
        return any(p.partition == partition and offset >= self._begin[p] for p in self._partitions.get(topic, ()))

    def published(self, *topics: Topic) -> int:
        """Records on these topics since the ledger was opened; right for topics without transactions."""
        ends = self.ends(topics)
        return sum(end - self._begin[partition] for partition, end in ends.items())

    def backlog(self, stage: str, *topics: Topic) -> int:
        """How many committed records of these inputs (of all, if none is named) the stage has not taken yet."""
        inputs = topics or self._stages[stage].inputs
        return sum(self._pending(stage, self.ends(inputs)).values())

    def wait_until_quiet(
        self, stages: Iterable[str], timeout_seconds: float, on_wait: Callable[[], None] | None = None
    ) -> dict[str, int]:
        """Return when these stages have taken everything, or in time: the backlog of each that has not.

        Quiet is: no backlog at any stage, twice over, and nothing new on any input in between.
        """
        names = list(stages)
        deadline = time.monotonic() + timeout_seconds
        quiet_at: Offsets | None = None
        while True:
            ends = self.ends({topic for name in names for topic in self._stages[name].inputs})
            behind = {name: self._is_behind(name, ends) for name in names}
            if not any(behind.values()):
                if ends == quiet_at:
                    return {}
                quiet_at = ends
                continue
            quiet_at = None
            if time.monotonic() > deadline:
                return {name: self.backlog(name) for name in names if behind[name]}
            if on_wait is not None:
                on_wait()
            time.sleep(_BETWEEN_LOOKS_SECONDS)

    def has_run(self, stage: str) -> bool:
        """True for a stage that took anything from its inputs, ever."""
        return bool(self._committed(stage))

    def wait_until_taken(self, stages: Iterable[str], deadline: float) -> list[str]:
        """Wait for these stages to take what came since the ledger was opened, and is on their inputs now.

        ``deadline`` is a time of ``time.monotonic()``; returns the stages that have not taken it by then.
        """
        ends = {name: self.ends(self._stages[name].inputs) for name in stages}
        while ends:
            ends = {name: at for name, at in ends.items() if self._pending(name, at, first_only=True)}
            if not ends or time.monotonic() > deadline:
                break
            time.sleep(_BETWEEN_LOOKS_SECONDS)
        return list(ends)

    def _is_behind(self, stage: str, ends: Offsets) -> bool:
        mine = {p for topic in self._stages[stage].inputs for p in self._partitions[topic.name]}
        return bool(self._pending(stage, {p: end for p, end in ends.items() if p in mine}, first_only=True))

    def ends(self, topics: Iterable[Topic]) -> Offsets:
        """Where these topics end, by partition, open transactions included."""
        partitions = [partition for topic in topics for partition in self._partitions[topic.name]]
        try:
            ends: Offsets = self._watcher.end_offsets(partitions)
        except KafkaError as error:
            raise KafkaUnavailableError(f"the ends of the topics cannot be read: {error}") from error
        return ends

    def _pending(self, stage: str, ends: Mapping[Any, int], *, first_only: bool = False) -> Counter[str]:
        """Committed records between what the stage committed and these ends, by topic."""
        committed = self._committed(stage)
        starts = {p: max(committed.get(p, 0), self._begin[p]) for p in ends}
        open_partitions = {p for p, end in ends.items() if starts[p] < end}
        counts: Counter[str] = Counter()
        if not open_partitions:
            return counts
        self._consumer.assign(sorted(open_partitions))
        for partition in open_partitions:
            self._consumer.seek(partition, starts[partition])
        deadline = time.monotonic() + (_LOOK_SECONDS if first_only else _READ_SECONDS)
        while open_partitions and time.monotonic() < deadline:
            for partition, records in self._consumer.poll(timeout_ms=_POLL_MS).items():
                counts[partition.topic] += sum(record.offset < ends[partition] for record in records)
            if first_only and counts:
                break
            open_partitions = {p for p in open_partitions if self._consumer.position(p) < ends[p]}
        else:
            # What is still open may yet be committed: it counts as something.
            counts.update(partition.topic for partition in open_partitions if not counts[partition.topic])
        return +counts

    def _committed(self, stage: str) -> Offsets:
        group = self._group_of(stage)
        deadline = time.monotonic() + _READ_SECONDS
        while True:
            try:
                offsets = self._admin.list_group_offsets({group: None})[group]
                return {partition: entry.offset for partition, entry in offsets.items() if entry.offset >= 0}
            except KafkaError as error:
                # A young broker makes its own topics first, and says so with retriable errors.
                if not error.retriable or time.monotonic() > deadline:
                    raise KafkaUnavailableError(f"the offsets of {group} cannot be read: {error}") from error
            time.sleep(_BETWEEN_LOOKS_SECONDS)
