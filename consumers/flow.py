"""The behaviour stages on the in-memory log: the very same code as on Kafka, for evaluation and for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice

from consumers.runtime.memory import MemoryLog, MemoryTransport
from consumers.runtime.stage import Stage
from consumers.runtime.worker import Worker
from schemas.codec import encode, topic_of
from schemas.events import Event
from schemas.keys import key_of

_QUIET_ROUNDS = 3
"""Rounds without work, of all stages, after which nothing more will come: an aborted round looks idle too."""


class Flow:
    """Stages sharing one log, each with a worker of its own, run in turn until all is quiet."""

    def __init__(self, stages: Sequence[Stage], *, partitions: int = 1) -> None:
        self.log = MemoryLog(partitions)
        self._workers: Mapping[str, Worker] = {
            stage.spec.name: Worker(stage, self._transport(stage)) for stage in stages
        }

    def publish(self, events: Iterable[Event]) -> int:
        """Append events to their topics, the broker's clock set to each event's time; returns how many."""
        count = 0
        for event in events:
            at_ms: int = event.event_time_ms  # type: ignore[union-attr]
            self.log.now_ms = max(self.log.now_ms, at_ms)
            self.log.append(topic_of(event).name, key_of(event).encode(), encode(event))
            count += 1
        return count

    def feed(
        self, events: Iterable[Event], batch: int = 2_000, on_progress: Callable[[int], None] | None = None
    ) -> None:
        """Publish events in batches and let every stage take each before the next comes; bounded in memory."""
        iterator = iter(events)
        done = 0
        while chunk := list(islice(iterator, batch)):
            done += self.publish(chunk)
            self.run_until_quiet()
            self.log.drop_consumed()
            if on_progress is not None:
                on_progress(done)

    def run_until_quiet(self) -> None:
        """Run every stage until none has anything to do."""
        quiet = 0
        while quiet < _QUIET_ROUNDS:
            worked = sum(worker.run_once(timeout_ms=0) for worker in self._workers.values())
            behind = any(not worker.idle for worker in self._workers.values())
            quiet = 0 if worked or behind else quiet + 1

    def outcomes(self, stage_name: str) -> Mapping[tuple[str, str], int]:
        """What a stage made of its input, by (topic, outcome)."""
        return self._workers[stage_name].processed

    def _transport(self, stage: Stage) -> MemoryTransport:
        spec = stage.spec
        names = [topic.name for topic in spec.inputs]
        tables = [topic.name for topic in spec.tables]
        return MemoryTransport(self.log, spec.name, names, tables, sole_owner=spec.sole_owner)
