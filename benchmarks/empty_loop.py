"""The floor under every stage: consume, transform nothing, produce, commit, with the same client and transport."""

from __future__ import annotations

from collections.abc import Callable

from consumers.runtime.kafka_transport import KafkaTransport
from consumers.runtime.records import OutRecord, Record, TopicPartition
from consumers.runtime.settings import RuntimeSettings
from consumers.runtime.stage import StageSpec
from schemas.errors import KafkaUnavailableError
from schemas.kafka_settings import KafkaSettings
from schemas.topics import Topic

_JOIN_ROUNDS = 300
_POLL_MS = 100


class EmptyLoop:
    """Copies every ``one_in``-th record's bytes to ``output``, one transaction a batch; it has no state."""

    def __init__(
        self,
        kafka: KafkaSettings,
        spec: StageSpec,
        output: Topic,
        *,
        one_in: int,
        max_batch_records: int = 2_000,
    ) -> None:
        self._output = output.name
        self._one_in = one_in
        self._max_batch_records = max_batch_records
        self._transport = KafkaTransport(spec, kafka, RuntimeSettings())
        self._offsets: dict[TopicPartition, int] = {}
        for _ in range(_JOIN_ROUNDS):
            self._transport.poll(1, _POLL_MS)
            if self._transport.assignment().since:
                self._begin()
                return
        raise KafkaUnavailableError("the empty loop was dealt no partition")

    def run_until(self, done: Callable[[int], bool]) -> None:
        """Loop until ``done``, which is told how many records were taken so far."""
        taken = 0
        while not done(taken):
            taken += self.run_once()

    def run_once(self) -> int:
        """One poll, and a transaction if something came; returns how many records."""
        records = self._transport.poll(self._max_batch_records, _POLL_MS)
        if records:
            self._commit(records)
        return len(records)

    def close(self) -> None:
        """Leave the group."""
        self._transport.close()

    def _begin(self) -> None:
        self._transport.start(self._transport.committed(sorted(self._transport.assignment().since)))

    def _commit(self, records: list[Record]) -> None:
        offsets = {TopicPartition(record.topic, record.partition): record.offset + 1 for record in records}
        output = self._output
        self._transport.commit([OutRecord(output, r.key, r.value) for r in records[:: self._one_in]], offsets)
