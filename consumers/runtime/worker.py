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

from consumers.runtime.decoding import Decoder, undecoded
from consumers.runtime.metrics import StageMetrics
from consumers.runtime.outbox import PROCESSED, Outbox
from consumers.runtime.progress import Progress
from consumers.runtime.records import Record, TopicPartition
from consumers.runtime.restoring import Restorer
from consumers.runtime.settings import WorkerSettings
from consumers.runtime.stage import Stage
from consumers.runtime.transport import Transport
from schemas.errors import FencedError, RecsysError, TransactionAbortedError

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
        self._poison = 0
        self._isolate: dict[TopicPartition, int] = {}
        self._tables_read = not stage.spec.tables
        self.processed: Counter[tuple[str, str]] = Counter()
        """Committed input messages by (topic, outcome)."""

    @property
    def ready(self) -> bool:
        """True while the state is in step with the partitions owned; a member that stands by is ready too."""
        return self._tables_read and 0 < self._restorer.version == self._transport.assignment().version

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
            return self._round(timeout_ms)
        except RecsysError as error:
            if not error.retriable:
                raise
            self._recover(error)
        return 0

    def _round(self, timeout_ms: int | None) -> int:
        self._follow_tables()
        if not self._tables_read:
            self._transport.keep_alive()
            return 0
        self._adopt_assignment()
        records = self._poll(timeout_ms)
        if self._assignment_changed():
            return 0
        self._work(records)
        self._metrics.lag(self._transport.lag())
        return len(records)

    def _poll(self, timeout_ms: int | None) -> list[Record]:
        capacity = self._stage.capacity()
        limit = self._settings.max_batch_records if capacity is None else capacity
        if self._isolate:
            limit = min(limit, 1)
        if timeout_ms is None:
            busy = self._stage.busy()
            timeout_ms = self._settings.busy_poll_ms if busy else self._settings.idle_poll_ms
        if limit <= 0:
            self._transport.keep_alive()
            self._stop.wait(timeout_ms / 1000)
            return []
        return self._transport.poll(min(limit, self._settings.max_batch_records), timeout_ms)

    def _follow_tables(self) -> None:
        records = self._transport.poll_tables(self._settings.table_records_per_round)
        if records:
            out = Outbox(self._stage.spec.name)
            self._stage.follow(self._decoder.tables(records), out)
            self._commit(out, [])
        if not self._tables_read:
            self._tables_read = self._transport.tables_caught_up()

    def _work(self, records: Sequence[Record]) -> None:
        out = Outbox(self._stage.spec.name)
        with self._metrics.batch(len(records)):
            try:
                if records:
                    messages = self._decoder.inputs(records, out)
                    if messages:
                        self._stage.process(messages, out)
                self._stage.poll(out)
            except (TransactionAbortedError, FencedError):
                raise
            except Exception as error:
                out = self._isolate_poison(records, error)
        self._commit(out, records)
        self._leave_isolation()

    def _commit(self, out: Outbox, records: Sequence[Record]) -> None:
        self._progress.advance(records)
        self._progress.note(out)
        offsets = self._progress.to_commit()
        if out.records or offsets:
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
        self._metrics.lists(out.lists, self._now_ms())

    def _assignment_changed(self) -> bool:
        return self._restorer.version != self._transport.assignment().version

    def _adopt_assignment(self) -> None:
        if not self._assignment_changed():
            return
        out = Outbox(self._stage.spec.name)
        if self._restorer.adopt(self._transport.assignment(), out, self._stop.is_set):
            self._commit(out, [])

    def _recover(self, error: RecsysError) -> None:
        """After an abort: drop the state, wait a moment, restore on the next round."""
        self._aborts += 1
        self._metrics.aborted(type(error).__name__)
        _log.warning("%s restores its state: %s", self._stage.spec.name, error)
        self._restorer.reset()
        if self._aborts > self._settings.max_consecutive_aborts:
            raise error
        ceiling = min(
            self._settings.backoff_cap_seconds, self._settings.backoff_base_seconds * 2 ** (self._aborts - 1)
        )
        self._stop.wait(random.uniform(0, ceiling))

    def _isolate_poison(self, records: Sequence[Record], error: Exception) -> Outbox:
        """An unexpected failure: go back and feed one by one, until the message that fails stands alone."""
        if isinstance(error, RecsysError) and error.retriable:
            raise TransactionAbortedError(f"{self._stage.spec.name} could not go on yet: {error}") from error
        if len(records) != 1:
            if not records:
                raise error
            for record in records:
                self._isolate[TopicPartition(record.topic, record.partition)] = record.offset + 1
            raise TransactionAbortedError(f"a batch of {len(records)} failed: {error!r}") from error
        self._poison += 1
        if self._poison > self._settings.max_consecutive_poison:
            raise error
        self._restorer.reset()
        out = Outbox(self._stage.spec.name)
        self._restorer.adopt(self._transport.assignment(), out, self._stop.is_set)
        out.refuse(undecoded(records[0]), error)
        return out

    def _leave_isolation(self) -> None:
        if not self._isolate:
            return
        positions = self._progress.positions
        self._isolate = {p: end for p, end in self._isolate.items() if positions.get(p, end) < end}
        if not self._isolate:
            self._poison = 0
