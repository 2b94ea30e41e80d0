from __future__ import annotations

import inspect
import random
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from last_seen import POISON, LastSeen, LastSeenByOne

from consumers.runtime.memory import MemoryLog, MemoryTransport
from consumers.runtime.metrics import StageMetrics
from consumers.runtime.outbox import Outbox
from consumers.runtime.records import OutRecord, TopicPartition
from consumers.runtime.settings import WorkerSettings
from consumers.runtime.stage import AnyMessage, Stage
from consumers.runtime.worker import Worker
from schemas.codec import decode, encode
from schemas.errors import FencedError, KafkaUnavailableError, TransactionAbortedError
from schemas.events import PdpView, ProductCreated

QUICK = WorkerSettings(backoff_base_seconds=0.0, max_consecutive_aborts=3, max_consecutive_poison=2)


class Harness:
    def __init__(self, stage: Stage | None = None, settings: WorkerSettings = QUICK) -> None:
        self.log = MemoryLog(partitions=2, now_ms=5_000)
        self.stage = stage or LastSeen()
        self.metrics = StageMetrics(self.stage.spec.name)
        self.worker, self.transport = self.another(self.stage, settings)

    def another(self, stage: Stage, settings: WorkerSettings = QUICK) -> tuple[Worker, MemoryTransport]:
        spec = stage.spec
        inputs, tables = ([topic.name for topic in topics] for topics in (spec.inputs, spec.tables))
        transport = MemoryTransport(self.log, spec.name, inputs, tables, sole_owner=spec.sole_owner)
        return Worker(stage, transport, settings=settings, metrics=self.metrics, now_ms=lambda: 5_040), transport

    def view(self, user: str, product: str, event_id: str = "e") -> None:
        event = PdpView(event_id, 1_000, user, None, product)
        self.log.append("pdp-view", user.encode(), encode(event))

    def rounds(self, amount: int = 10) -> None:
        for _ in range(amount):
            self.worker.run_once(timeout_ms=0)

    def metric(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, {"stage": self.stage.spec.name, **labels})


class Recording(LastSeen):
    """Notes what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []
        self.revoked: list[list[int]] = []
        self.restored_partitions: list[list[int]] = []
        self.free: int | None = None

    def process(self, messages: Sequence[AnyMessage], out: Outbox) -> None:
        self.batches.append(len(messages))
        super().process(messages, out)

    def capacity(self) -> int | None:
        return self.free

    def restored(self, partitions: Sequence[int], out: Outbox) -> None:
        self.restored_partitions.append(list(partitions))

    def revoke(self, partitions: Sequence[int]) -> None:
        self.revoked.append(list(partitions))
        super().revoke(partitions)


def test_a_flood_is_one_batch_and_a_lone_event_is_one_too() -> None:
    harness = Harness(stage := Recording())
    for number in range(50):
        harness.view("anna", f"p{number}")
    harness.rounds(1)
    harness.view("anna", "last")
    harness.rounds(1)
    assert stage.batches == [50, 1]
    assert harness.metric("recsys_batch_records_count") == 2
    assert len(harness.log.records("recommendation-updated")) == 2


def test_takes_no_more_than_the_stage_has_room_for() -> None:
    harness = Harness(stage := Recording())
    for number in range(5):
        harness.view("anna", f"p{number}")
    stage.free = 0
    harness.rounds(2)
    assert stage.batches == []
    stage.free = 2
    harness.rounds(2)
    assert stage.batches == [2, 2]


def test_outcomes_and_freshness_are_counted_once_they_are_committed() -> None:
    harness = Harness()
    harness.view("anna", "p0")
    harness.view("anna", POISON)
    harness.log.fail_next_commit("before")
    harness.rounds()
    assert harness.worker.processed == {("pdp-view", "processed"): 1, ("pdp-view", "dead-letter"): 1}
    assert harness.metric("recsys_events_total", topic="pdp-view", outcome="processed") == 1
    assert harness.metric("recsys_events_total", topic="pdp-view", outcome="dead-letter") == 1
    assert harness.metric("recsys_transaction_aborts_total", error="TransactionAbortedError") == 3
    assert harness.metric("recsys_list_changes_total", kind="for-you") == 1
    assert harness.metric("recsys_event_to_recommendation_seconds_sum", kind="for-you") == pytest.approx(0.04)


def test_lag_is_of_the_partitions_owned() -> None:
    harness = Harness()
    harness.rounds(2)
    assert harness.metric("recsys_consumer_lag", topic="pdp-view", partition="1") == 0
    harness.another(LastSeen())
    harness.rounds(2)
    assert harness.metric("recsys_consumer_lag", topic="pdp-view", partition="1") is None
    assert harness.metric("recsys_consumer_lag", topic="pdp-view", partition="0") == 0


def test_more_failing_messages_than_can_be_the_messages_fault_end_the_process() -> None:
    harness = Harness()
    for number in range(3):
        harness.view("anna", POISON, f"e{number}")
    with pytest.raises(ValueError, match="cannot be"):
        harness.rounds(20)


def test_failing_messages_now_and_then_are_the_messages_fault() -> None:
    harness = Harness()
    for number in range(5):
        harness.view("anna", POISON, f"e{number}")
        harness.rounds()
    assert harness.worker.processed == {("pdp-view", "dead-letter"): 5}


def test_nothing_is_committed_of_state_that_the_poll_took_away() -> None:
    class Chatty(LastSeen):
        def poll(self, out: Outbox) -> None:
            out.publish(ProductCreated("chat", 1))

    harness = Harness(Chatty())
    harness.rounds(1)
    poll = harness.transport.poll

    def deal_anew(max_records: int, timeout_ms: int) -> Any:
        harness.another(LastSeen())
        return poll(max_records, timeout_ms)

    harness.transport.poll = deal_anew  # type: ignore[method-assign]
    before = len(harness.log.records("product-created"))
    harness.rounds(1)
    assert len(harness.log.records("product-created")) == before


def test_what_fails_only_for_now_is_tried_again_and_never_refused() -> None:
    class Hesitant(LastSeen):
        failures = 2

        def process(self, messages: Sequence[AnyMessage], out: Outbox) -> None:
            super().process(messages, out)
            if self.failures:
                self.failures -= 1
                raise KafkaUnavailableError("not yet")

    harness = Harness(Hesitant())
    harness.view("anna", "p0")
    harness.rounds()
    assert harness.log.records("dead-letter") == []
    assert decode("interaction-state", harness.log.table("interaction-state")[b"anna"]).product_ids == ["p0"]


def test_a_deferred_message_is_not_lost_when_a_later_one_fails() -> None:
    class Patient(Recording):
        """Holds back products that begin with ``slow`` until it is told."""

        def __init__(self) -> None:
            super().__init__()
            self.waiting: list[AnyMessage] = []
            self.finish = False

        def process(self, messages: Sequence[AnyMessage], out: Outbox) -> None:
            slow = [m for m in messages if m.value.product_id.startswith("slow")]
            super().process([m for m in messages if m not in slow], out)
            for message in slow:
                out.defer(message)
            self.waiting += slow

        def poll(self, out: Outbox) -> None:
            if self.finish:
                for message in self.waiting:
                    out.settle(message)
                LastSeen.process(self, self.waiting, out)
                self.waiting = []

        def revoke(self, partitions: Sequence[int]) -> None:
            self.waiting = [m for m in self.waiting if m.partition not in partitions]
            super().revoke(partitions)

    harness = Harness(stage := Patient())
    harness.view("anna", "slow-1")
    harness.rounds(2)
    harness.view("anna", POISON)
    harness.view("anna", "p1")
    harness.rounds()
    partition = TopicPartition("pdp-view", harness.log.records("pdp-view")[0].partition)
    assert harness.log.committed("last-seen", partition) == 0
    stage.finish = True
    harness.rounds()
    assert harness.log.committed("last-seen", partition) == 3
    assert sorted(decode("interaction-state", harness.log.table("interaction-state")[b"anna"]).product_ids) == [
        "p1",
        "slow-1",
    ]
    assert harness.worker.processed["pdp-view", "processed"] == 2


def test_gives_up_after_so_many_aborts_in_a_row() -> None:
    harness = Harness()
    harness.view("anna", "p0")
    harness.log.fail_next_commit(*["before"] * 4)
    with pytest.raises(TransactionAbortedError):
        harness.rounds()


def test_waits_for_a_kafka_that_is_away_for_long() -> None:
    harness = Harness()
    harness.rounds(1)

    def away(*arguments: Any) -> Any:
        raise KafkaUnavailableError("away")

    harness.transport.poll_tables = away  # type: ignore[method-assign]
    harness.rounds(20)
    assert not harness.worker.ready
    del harness.transport.poll_tables
    harness.view("anna", "p0")
    harness.rounds(2)
    assert harness.worker.ready
    assert b"for-you:anna" in harness.log.table("recommendation-updated")


def test_what_follows_from_tables_is_fenced_like_all_else() -> None:
    harness = Harness()
    harness.view("anna", "p0")
    harness.rounds(2)
    seen: list[set[TopicPartition]] = []
    commit = harness.transport.commit

    def spy(records: Sequence[OutRecord], offsets: dict[TopicPartition, int]) -> None:
        seen.append(set(offsets))
        commit(records, offsets)

    harness.transport.commit = spy  # type: ignore[method-assign, assignment]
    harness.log.append("product-created", b"p0", None)
    harness.rounds(2)
    assert seen == [{TopicPartition("pdp-view", 0), TopicPartition("pdp-view", 1)}]


def test_who_stands_by_publishes_nothing() -> None:
    class Talkative(LastSeenByOne):
        def follow(self, messages: Sequence[AnyMessage], out: Outbox) -> None:
            out.publish(ProductCreated("echo", 1))

    harness = Harness(Talkative())
    harness.rounds(2)
    standby, _ = harness.another(Talkative())
    standby.run_once(timeout_ms=0)
    harness.log.append("image-features", b"x", None)
    harness.log.append("product-created", b"p0", None)
    standby.run_once(timeout_ms=0)
    assert standby.ready
    assert [r.key for r in harness.log.records("product-created")] == [b"p0"]


def test_shards_owned_without_a_break_are_kept_and_others_restored() -> None:
    harness = Harness(stage := Recording())
    for user in ("anna", "ben", "cleo", "dan"):
        harness.view(user, "p0")
    harness.rounds(2)
    newcomer, transport = harness.another(LastSeen())
    newcomer.run_once(timeout_ms=0)
    harness.rounds(1)
    assert (stage.restored_partitions, stage.revoked) == ([[0, 1], []], [[1]])
    transport.kill()
    harness.rounds(1)
    assert stage.restored_partitions[-1] == [1]
    another, transport = harness.another(LastSeen())
    transport.kill()  # came and went between two rounds: partition 1 was another's for a moment
    harness.rounds(1)
    assert stage.restored_partitions[-1] == [1]
    assert another.processed == {}


def test_what_was_restored_in_vain_is_dropped() -> None:
    harness = Harness(stage := Recording())
    harness.view("anna", "p0")
    harness.rounds(2)
    harness.transport.kill()
    worker, transport = harness.another(stage := Recording())
    read = transport.read

    def broken(partition: TopicPartition, until_offset: int | None = None) -> Any:
        yield from read(partition, until_offset)
        raise KafkaUnavailableError("away")

    transport.read = broken  # type: ignore[method-assign]
    worker.run_once(timeout_ms=0)
    assert stage.viewed == {}
    assert stage.revoked == [[0, 1]]


def test_a_restore_ends_when_the_group_deals_anew() -> None:
    harness = Harness()
    harness.view("anna", "p0")
    harness.rounds(2)
    harness.transport.kill()
    worker, transport = harness.another(stage := Recording())
    joined: list[Any] = []

    def deal_anew() -> None:
        if not joined and stage.viewed:
            joined.append(harness.another(LastSeen()))

    transport.keep_alive = deal_anew  # type: ignore[method-assign]
    worker.run_once(timeout_ms=0)
    assert joined
    assert not worker.ready
    assert stage.viewed == {}
    worker.run_once(timeout_ms=0)
    assert worker.ready
    assert stage.restored_partitions == [[0]]


def test_a_member_without_its_partitions_cannot_commit() -> None:
    harness = Harness()
    harness.view("anna", "p0")
    harness.rounds(1)
    harness.transport.kill()
    with pytest.raises(FencedError):
        harness.transport.commit([], {TopicPartition("pdp-view", 0): 1})


def test_included_input_is_skipped_even_where_offsets_are_lost() -> None:
    harness = Harness()
    harness.view("anna", "p0")
    harness.rounds(2)
    harness.transport.kill()
    harness.log._offsets.clear()
    harness.view("anna", "p1")
    worker, _ = harness.another(LastSeen())
    for _ in range(3):
        worker.run_once(timeout_ms=0)
    state = decode("interaction-state", harness.log.table("interaction-state")[b"anna"])
    assert state.product_ids == ["p0", "p1"]


def test_records_that_are_not_wanted_are_not_decoded() -> None:
    class Choosy(LastSeen):
        def wants(self, topic: str, key: str) -> bool:
            return not key.startswith("other-")

    harness = Harness(stage := Choosy())
    harness.log.append("product-created", b"other-p", None)
    harness.log.append("product-created", b"p", None)
    harness.log.append("interaction-state", b"other-user", b"not to be read", partition=0)
    harness.rounds(2)
    assert stage.retired == {"p"}
    assert harness.worker.ready


def test_stops_at_once_and_leaves_the_group() -> None:
    harness = Harness()
    harness.worker.stop()
    harness.worker.run()
    successor, _ = harness.another(LastSeen())
    successor.run_once(timeout_ms=0)
    assert len(successor._transport.assignment().since) == 2


def test_a_stage_is_a_small_class_without_kafka() -> None:
    assert len(inspect.getsource(LastSeen).splitlines()) < 60
    assert "kafka" not in inspect.getsource(sys.modules[LastSeen.__module__]).lower()


def test_backs_off_with_jitter_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    patient = WorkerSettings(backoff_base_seconds=1.0, backoff_cap_seconds=4.0)
    harness = Harness(settings=patient)
    ceilings: list[float] = []
    monkeypatch.setattr(random, "uniform", lambda low, high: ceilings.append(high) or 0.0)
    harness.view("anna", "p0")
    harness.log.fail_next_commit(*["before"] * 4)
    harness.rounds()
    assert ceilings == [1.0, 2.0, 4.0, 4.0]
