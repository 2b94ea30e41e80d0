"""What the writer makes of a client that misbehaves; the rest of it is in the contract suite."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from kafka.errors import KafkaError

from consumers.runtime import kafka_writer
from consumers.runtime.kafka_writer import TransactionalWriter
from consumers.runtime.records import OutRecord
from consumers.runtime.settings import RuntimeSettings, WorkerSettings
from schemas.errors import ConfigurationError, TransactionAbortedError
from schemas.kafka_settings import KafkaSettings

QUICK = RuntimeSettings(worker=WorkerSettings(), commit_timeout_ms=1_000, transaction_timeout_ms=1_000)


class Pending:
    def __init__(self, answers: bool = True) -> None:
        self._answers = answers

    def wait(self, timeout_ms: float) -> bool:
        return self._answers


class FakeProducer:
    """As much of a producer as the writer uses; what happens at the commit is the test's to say."""

    def __init__(
        self, on_commit: Callable[[FakeProducer], Pending] = lambda producer: Pending(), **config: Any
    ) -> None:
        self.config = config
        self.on_commit = on_commit
        self.producer_id_and_epoch = (1, 0)
        self.sent: list[tuple[Any, ...]] = []
        self.said: list[str] = []
        self._transaction_manager = self._sender = self._accumulator = self

    def init_transactions(self) -> None:
        self.said.append("init")

    def begin_transaction(self) -> None:
        self.said.append("begin")

    def partitions_for(self, topic: str) -> set[int]:
        return set() if topic.endswith("item-factors") else {0, 1}

    def maybe_add_partition_to_transaction(self, partition: Any) -> None:
        self.said.append(f"add {partition.topic} {partition.partition}")

    def append(self, partition: Any, *arguments: Any) -> tuple[None, bool, bool, bool]:
        self.sent.append((*partition, *arguments))
        return None, False, True, False

    def send_offsets_to_transaction(self, offsets: Any, group: Any) -> Pending:
        self.said.append(f"offsets {offsets} {group}")
        return Pending()

    def begin_commit(self) -> Pending:
        self.said.append("commit")
        return self.on_commit(self)

    def begin_abort(self) -> Pending:
        self.said.append("abort")
        return Pending()

    def wakeup(self) -> None: ...

    def force_close(self) -> None:
        self.said.append("closed")

    def join(self, timeout: float) -> None: ...

    def close(self, timeout: float) -> None: ...


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[FakeProducer]:
    producers: list[FakeProducer] = []

    def make(**config: Any) -> FakeProducer:
        producers.append(FakeProducer(**config))
        return producers[-1]

    monkeypatch.setattr(kafka_writer, "KafkaProducer", make)
    return producers


def writer() -> TransactionalWriter:
    return TransactionalWriter(KafkaSettings(topic_prefix="shop."), QUICK, "shop.s-0")


def test_one_transaction_holds_outputs_and_offsets(made: list[FakeProducer]) -> None:
    subject = writer()
    records = [
        OutRecord("pdp-view", b"21", b"v", None, [("h", b"1")], 5),
        OutRecord("pdp-view", b"21", None, 1),
        OutRecord("pdp-view", b"21", None),
    ]
    subject.commit(records, {"p": 7}, "member")
    subject.commit([], {}, "member")
    (producer,) = made
    place = (-973932308 & 0x7FFFFFFF) % 2
    added = [f"add shop.pdp-view {place}", f"add shop.pdp-view {1 - place}"]
    assert producer.said == ["init", "begin", *added, "offsets {'p': 7} member", "commit", "begin", "commit"]
    assert producer.sent == [
        ("shop.pdp-view", place, 5, b"21", b"v", [("h", b"1")]),
        ("shop.pdp-view", 1 - place, None, b"21", None, []),
        ("shop.pdp-view", place, None, b"21", None, []),
    ]
    assert producer.config["transactional_id"] == "shop.s-0"
    assert producer.config["delivery_timeout_ms"] > 2 * QUICK.commit_timeout_ms


def bumped(producer: FakeProducer) -> Pending:
    producer.producer_id_and_epoch = (1, 1)
    return Pending()


def broken(producer: FakeProducer) -> Pending:
    raise KafkaError("in an error state")


@pytest.mark.parametrize("on_commit", [bumped, broken, lambda producer: Pending(answers=False)])
def test_what_did_not_plainly_commit_is_an_abort_and_the_producer_is_made_anew(
    made: list[FakeProducer], on_commit: Callable[[FakeProducer], Pending]
) -> None:
    subject = writer()
    subject.prepare()
    made[0].on_commit = on_commit
    with pytest.raises(TransactionAbortedError):
        subject.commit([], {"p": 7}, "member")
    assert made[0].said[-2:] == ["abort", "closed"]
    subject.commit([], {"p": 7}, "member")
    assert len(made) == 2


def test_a_topic_that_is_not_there_is_for_a_person_to_create(made: list[FakeProducer]) -> None:
    with pytest.raises(ConfigurationError, match=r"no topic shop\.item-factors"):
        writer().commit([OutRecord("item-factors", b"k", b"v")], {}, "member")
    assert made[0].said[-2:] == ["abort", "closed"]
