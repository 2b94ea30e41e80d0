from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka.structs import OffsetAndMetadata

from cli.ledger import Ledger
from consumers.runtime.stage import StageSpec
from schemas.kafka_settings import KafkaSettings
from schemas.topics import CART_ADD, CO_VISITS, PDP_VIEW, Topic

STAGES = [StageSpec("first", inputs=(PDP_VIEW, CART_ADD)), StageSpec("second", inputs=(CO_VISITS,))]


class Copier:
    """Consumes, produces and commits in transactions, as the stages do."""

    def __init__(self, settings: KafkaSettings, stage: str, source: Topic, target: Topic) -> None:
        options = settings.client_options()
        self._target = settings.named(target)
        self._consumer = KafkaConsumer(
            settings.named(source),
            **options,
            group_id=settings.named(stage),
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            isolation_level="read_committed",
        )
        self._producer = KafkaProducer(**options, transactional_id=settings.named(stage), retry_backoff_ms=5)
        self._producer.init_transactions()

    def copy(self, number: int, *, abort: bool = False) -> None:
        offsets = {}
        taken = 0
        self._producer.begin_transaction()
        while taken < number:
            for partition, records in self._consumer.poll(500, max_records=number - taken).items():
                taken += len(records)
                offsets[partition] = OffsetAndMetadata(records[-1].offset + 1, "", -1)
                for record in records:
                    self._producer.send(self._target, key=record.key, value=record.value)
        self._producer.send_offsets_to_transaction(offsets, self._consumer.group_metadata())
        if abort:
            self._producer.abort_transaction()
            for partition in offsets:
                self._consumer.seek_to_beginning(partition)
        else:
            self._producer.commit_transaction()

    def close(self) -> None:
        self._consumer.close()
        self._producer.close()


def publish(settings: KafkaSettings, topic: Topic, number: int) -> None:
    with closing(KafkaProducer(**settings.client_options())) as producer:
        for i in range(number):
            producer.send(settings.named(topic), key=f"u{i}".encode(), value=b"x")
        producer.flush()


@pytest.fixture
def ledger(kafka: KafkaSettings) -> Iterator[Ledger]:
    publish(kafka, PDP_VIEW, 7)  # what was there before is nobody's business
    with closing(Ledger(kafka, STAGES, [PDP_VIEW, CART_ADD], kafka.named)) as ledger:
        yield ledger


def test_only_what_came_after_the_ledger_was_opened_counts(kafka: KafkaSettings, ledger: Ledger) -> None:
    assert (ledger.published(PDP_VIEW, CART_ADD), ledger.backlog("first")) == (0, 0)
    publish(kafka, PDP_VIEW, 100)
    publish(kafka, CART_ADD, 5)
    assert ledger.published(PDP_VIEW, CART_ADD) == 105
    assert (ledger.backlog("first"), ledger.backlog("first", CART_ADD)) == (105, 5)
    assert ledger.wait_until_quiet(["first", "second"], 0.0) == {"first": 105}


def test_backlogs_are_exact_in_spite_of_transaction_markers(kafka: KafkaSettings, ledger: Ledger) -> None:
    publish(kafka, PDP_VIEW, 60)
    with (
        closing(Copier(kafka, "first", PDP_VIEW, CO_VISITS)) as first,
        closing(Copier(kafka, "second", CO_VISITS, PDP_VIEW)) as second,
    ):
        first.copy(67, abort=True)
        assert (ledger.backlog("first"), ledger.backlog("second")) == (60, 0)
        first.copy(67)
        assert (ledger.backlog("first"), ledger.backlog("second")) == (0, 67)
        assert ledger.wait_until_quiet(["first", "second"], 0.0) == {"second": 67}
        second.copy(67)
        # The second stage wrote to the first one's input.
        assert ledger.wait_until_quiet(["first", "second"], 0.0) == {"first": 67}
        first.copy(67)
        second.copy(67)
        first.copy(67)
        second.copy(67)
        first.copy(67)
        assert ledger.wait_until_quiet(["first"], 20.0) == {}
