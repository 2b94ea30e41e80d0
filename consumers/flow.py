"""The stages on the in-memory log: the very same code as on Kafka, for evaluation and for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice

from consumers.configuration import Configuration
from consumers.interactions.stage import InteractionsStage
from consumers.runtime.memory import MemoryLog, MemoryTransport
from consumers.runtime.settings import WorkerSettings
from consumers.runtime.stage import Stage
from consumers.runtime.worker import Worker
from consumers.stages import make_stage
from recsys.histories import History
from schemas.codec import encode, topic_of
from schemas.errors import RecsysError
from schemas.events import CartAdd, ListedProduct, PdpView, ProductCreated, Purchase, SessionJoined, UserUpdated
from schemas.keys import key_of
from schemas.topics import DEAD_LETTER

FedEvent = ProductCreated | PdpView | CartAdd | Purchase | UserUpdated | SessionJoined
"""What a shop publishes, and a flow is fed with."""

_QUIET_ROUNDS = 3
"""Rounds without work, of all stages, after which nothing more will come: an aborted round looks idle too."""
_BATCH_RECORDS = 10_000
"""Events published before the stages take them; a shopper or product is written and listed once a batch."""
_UNTIMED = WorkerSettings(
    max_batch_records=_BATCH_RECORDS, table_records_per_round=_BATCH_RECORDS, max_batch_seconds=1e9
)
"""Batches whose size does not depend on the machine's speed, so that a run can be repeated exactly."""


class EventsRefusedError(RecsysError):
    """A stage refused events that a flow was fed with; the message says which stage and why."""


class Flow:
    """Stages sharing one log, each with a worker of its own, run in turn until all is quiet."""

    def __init__(self, stages: Sequence[Stage], *, partitions: int = 1) -> None:
        self.log = MemoryLog(partitions)
        self._workers: Mapping[str, Worker] = {
            stage.spec.name: Worker(stage, self._transport(stage), settings=_UNTIMED) for stage in stages
        }

    def publish(self, events: Iterable[FedEvent]) -> int:
        """Append events to their topics, the broker's clock set to each event's time; returns how many."""
        count = 0
        for event in events:
            self.log.now_ms = max(self.log.now_ms, event.event_time_ms)
            self.log.append(topic_of(event).name, key_of(event).encode(), encode(event))
            count += 1
        return count

    def feed(
        self,
        events: Iterable[FedEvent],
        batch: int = _BATCH_RECORDS,
        on_progress: Callable[[int], None] | None = None,
    ) -> None:
        """Publish events in batches and let every stage take each before the next comes; bounded in memory.

        Raises ``EventsRefusedError`` where a stage writes a dead letter: the log keeps nothing to restore from.
        """
        iterator = iter(events)
        done = 0
        while chunk := list(islice(iterator, batch)):
            done += self.publish(chunk)
            self.run_until_quiet()
            self._check_refused()
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

    def _check_refused(self) -> None:
        refused = self.log.records(DEAD_LETTER.name)
        if refused:
            why = {name: value.decode(errors="replace") for name, value in refused[0].headers}
            raise EventsRefusedError(
                f"{why['__connect.errors.stage']} refused {len(refused)} events of a batch, the first because: "
                f"{why['__connect.errors.exception.message']}"
            )

    def _transport(self, stage: Stage) -> MemoryTransport:
        spec = stage.spec
        names = [topic.name for topic in spec.inputs]
        tables = [topic.name for topic in spec.tables]
        return MemoryTransport(self.log, spec.name, names, tables, sole_owner=spec.sole_owner)


class BehaviourFlow(Flow):
    """All stages that learn from what shoppers do, and a way to ask for lists without teaching them anything."""

    def __init__(self, configuration: Configuration) -> None:
        self._interactions = InteractionsStage(configuration.interactions)
        others = [make_stage(name, configuration) for name in ("item-neighbours", "item-factors", "trending")]
        super().__init__([self._interactions, *others])

    def recommend(self, subject: str, n: int, *, excluded: Iterable[str] = ()) -> list[ListedProduct]:
        """The for-you list as it would be published now; of whom nothing is known, what it is for a newcomer."""
        history = self._interactions.history(subject)
        history = History() if history is None else history  # one without events still has the profile
        return self._interactions.for_you.recommend(history, n, excluded=excluded, subject=subject)

    def recommend_for(self, history: History, n: int, *, excluded: Iterable[str] = ()) -> list[ListedProduct]:
        """The for-you list that follows from a history, whosever it is."""
        return self._interactions.for_you.recommend(history, n, excluded=excluded)
