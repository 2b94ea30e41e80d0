"""The exactly-once loop that every stage runs on.

    poll → decode → step → one transaction {outputs, changelog, input offsets} → commit

Commit order, written down once: nothing that a batch leads to is visible before its transaction commits,
and the input offsets are part of that transaction. Whenever a transaction does not commit, or may not have,
the in-memory state is dropped and restored from the changelog, and the input is read again from what the log
says was committed. Changelog records name the input that they include, so a restored shard skips it even if
the committed offsets should ever lag behind.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

from consumers.runtime.batching import BatchLimit, uncollected
from consumers.runtime.decoding import Decoder
from consumers.runtime.metrics import StageMetrics
from consumers.runtime.outbox import PROCESSED, Outbox
from consumers.runtime.poison import PoisonIsolation
from consumers.runtime.progress import Progress
from consumers.runtime.records import Record
from consumers.runtime.restoring import Restorer
from consumers.runtime.settings import WorkerSettings
from consumers.runtime.stage import Stage
from consumers.runtime.transport import Transport
from schemas.errors import KafkaUnavailableError, RecsysError

_log = logging.getLogger(__name__)


class Worker:
    """Runs one stage on one transport until told to stop."""

    def __init__(
        self,
        stage: Stage,
        transport: Transport,
        *,
        settings: WorkerSettings | None = None,
        metrics: StageMetrics | None = None,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._stage = stage
        self._transport = transport
        self._settings = settings or WorkerSettings()
        self._metrics = metrics or StageMetrics(stage.spec.name)
        self._now_ms = now_ms
        self._decoder = Decoder(stage.spec, stage.wants)
        self._progress = Progress(stage.spec)
        self._restorer = Restorer(stage, transport, self._decoder, self._progress)
        self._stop = threading.Event()
        self._aborts = 0
        self._poison = PoisonIsolation(self._settings.max_consecutive_poison)
        self._limit = BatchLimit(self._settings.max_batch_records, self._settings.max_batch_seconds)
        self._tables_read = not stage.spec.tables
        self.processed: Counter[tuple[str, str]] = Counter()
        """Committed input messages by (topic, outcome)."""

    @property
    def ready(self) -> bool:
        """True while the state is in step with the partitions owned; a member that stands by is ready too."""
        return self._tables_read and 0 < self._restorer.version == self._transport.assignment().version

    @property
    def idle(self) -> bool:
        """True while there is nothing to read and no background work under way."""
        behind = not self._transport.tables_caught_up() or any(self._transport.lag().values())
        return not behind and not self._stage.busy()

    def stop(self) -> None:
        """Ask the loop to end after the batch at hand; safe from a signal handler or another thread."""
        self._stop.set()

    def run(self) -> None:
        """Loop until ``stop``; raises only what nothing but a person can mend."""
        try:
            while not self._stop.is_set():
                self.run_once()
        finally:
            self._stage.close()
            self._transport.close()

    def run_once(self, timeout_ms: int | None = None) -> int:
        """One round; returns how many input records it took. Waits only if there is nothing to do."""
        try:
            with uncollected():
                return self._round(timeout_ms)
        except RecsysError as error:
            if not error.retriable:
                raise
            self._recover(error)
        return 0

    def _round(self, timeout_ms: int | None) -> int:
        # Between here and the commit nothing lets the group deal anew but poll, so what is committed is owned.
        if not self._read_tables() or not self._adopt_assignment():
            return 0
        self._follow_tables()
        records = self._poll(timeout_ms)
        if self._assignment_changed():
            return 0
        self._work(records)
        self._metrics.lag(self._transport.lag())
        return len(records)

    def _poll(self, timeout_ms: int | None) -> list[Record]:
        capacity = self._stage.capacity()
        limit = 1 if self._poison.isolating else self._limit.records
        limit = limit if capacity is None else min(limit, capacity)
        if timeout_ms is None:
            busy = self._stage.busy()
            timeout_ms = self._settings.busy_poll_ms if busy else self._settings.idle_poll_ms
        if limit <= 0:
            self._transport.keep_alive()
            self._stop.wait(timeout_ms / 1000)
            return []
        return self._transport.poll(limit, timeout_ms)

    def _read_tables(self) -> bool:
        """Before the group is joined, take what is on the tables; a bounded part of it each round."""
        if not self._tables_read:
            self._follow_tables()
            self._tables_read = self._transport.tables_caught_up()
        return self._tables_read

    def _follow_tables(self) -> None:
        records = self._transport.poll_tables(self._settings.table_records_per_round)
        if records:
            out = Outbox(self._stage.spec.name)
            self._stage.follow(self._decoder.tables(records), out)
            self._commit(out, [])

    def _work(self, records: Sequence[Record]) -> None:
        out = Outbox(self._stage.spec.name)
        with self._metrics.batch(len(records)), self._limit.timed(len(records)):
            if records:
                self._process(records, out)
            self._stage.poll(out)
        self._commit(out, records)
        self._poison.passed(self._progress.positions)

    def _process(self, records: Sequence[Record], out: Outbox) -> None:
        sound = self._poison.sift(records, out)
        try:
            messages = self._decoder.inputs(sound, out)
            if messages:
                self._stage.process(messages, out)
        except Exception as error:
            if isinstance(error, RecsysError) and error.retriable:
                raise
            self._poison.isolate(sound, error)

    def _commit(self, out: Outbox, records: Sequence[Record]) -> None:
        self._progress.advance(records)
        self._progress.note(out)
        offsets = self._progress.to_commit()
        if out.records and not offsets:
            # A transaction without offsets is not fenced, so those that stand are committed once more; who owns
            # nothing publishes nothing.
            offsets = dict(self._progress.committed)
        if offsets:
            with self._metrics.transaction():
                self._transport.commit(self._progress.stamp(out.records, offsets), offsets)
            self._progress.commit(offsets)
            self._aborts = 0
        self._account(out, records)

    def _account(self, out: Outbox, records: Sequence[Record]) -> None:
        """Count only what committed, so that the figures are exactly-once too."""
        taken = Counter(record.topic for record in records)
        taken.update(topic for topic, _, _ in out.settled)
        taken.subtract(topic for topic, _, _ in out.deferred)
        for (topic, outcome), amount in out.outcomes.items():
            taken[topic] -= amount
            self.processed[topic, outcome] += amount
            self._metrics.events(topic, outcome, amount)
        for topic, amount in taken.items():
            if amount > 0:
                self.processed[topic, PROCESSED] += amount
                self._metrics.events(topic, PROCESSED, amount)
        self._metrics.observed(out.observed)
        self._metrics.measured(out.measured)
        self._metrics.lists(out.lists, self._now_ms())

    def _assignment_changed(self) -> bool:
        return self._restorer.version != self._transport.assignment().version

    def _adopt_assignment(self) -> bool:
        """Bring the state in step with what is owned; False while that moves on or the process is to stop."""
        if self._restorer.version < 0:
            self._transport.keep_alive()  # hears first of what became of the group
        if not self._assignment_changed():
            return True
        out = Outbox(self._stage.spec.name)
        if not self._restorer.adopt(self._transport.assignment(), out, self._stop.is_set):
            return False
        self._commit(out, [])
        return True

    def _recover(self, error: RecsysError) -> None:
        """After an abort: drop the state, wait a moment, restore on the next round."""
        self._aborts += 1
        self._metrics.aborted(type(error).__name__)
        _log.warning("%s restores its state: %s", self._stage.spec.name, error)
        self._restorer.reset()
        if self._aborts > self._settings.max_consecutive_aborts and not isinstance(error, KafkaUnavailableError):
            raise error
        ceiling = min(
            self._settings.backoff_cap_seconds, self._settings.backoff_base_seconds * 2 ** (self._aborts - 1)
        )
        self._stop.wait(random.uniform(0, ceiling))
