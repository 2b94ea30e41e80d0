"""The small parts of the runtime: progress, decoding, outbox, dead letters, batch limit, settings, errors."""

from __future__ import annotations

import json
from typing import Any

import pytest
from kafka import errors
from last_seen import LastSeen
from pydantic import ValidationError

from consumers.runtime.batching import BatchLimit
from consumers.runtime.dead_letters import dead_letter
from consumers.runtime.decoding import FUTURE_TOLERANCE_MS, Decoder
from consumers.runtime.kafka_errors import InstanceTakenError, kafka_errors, translated
from consumers.runtime.kafka_reader import consumer_options
from consumers.runtime.memory import MemoryLog
from consumers.runtime.outbox import Outbox
from consumers.runtime.partitioning import key_partition
from consumers.runtime.progress import SOURCE_OFFSETS_HEADER, Progress, included_offsets
from consumers.runtime.records import Message, OutRecord, Record, TopicPartition
from consumers.runtime.settings import RuntimeSettings, WorkerSettings
from consumers.runtime.stage import StageSpec
from consumers.runtime.transport import Assignment
from schemas.codec import encode
from schemas.errors import (
    ConfigurationError,
    FencedError,
    InvalidEventError,
    KafkaUnavailableError,
    TransactionAbortedError,
)
from schemas.events import PdpView, ProductCreated, RecommendationUpdated, UserHistory
from schemas.kafka_settings import KafkaSettings
from schemas.topics import INTERACTION_STATE, PDP_VIEW, PRODUCT_CREATED, RECOMMENDATION_UPDATED

P0, P1 = TopicPartition("pdp-view", 0), TopicPartition("pdp-view", 1)


def record(value: bytes | None = b"v", key: bytes | None = b"k", **fields: Any) -> Record:
    defaults = {"topic": "pdp-view", "partition": 0, "offset": 0, "timestamp_ms": 5_000, "headers": ()}
    return Record(key=key, value=value, **{**defaults, **fields})


def view(user: str = "anna", at_ms: int = 1_000) -> PdpView:
    return PdpView("e1", at_ms, user, None, "p1")


class TestProgress:
    def test_commits_what_moved_and_nothing_beyond_a_deferred_message(self) -> None:
        progress = Progress(LastSeen.spec)
        progress.begin({P0: 5, P1: 0})
        assert progress.to_commit() == {}
        progress.advance([record(offset=5), record(offset=6), record(offset=9)])
        out = Outbox("s")
        out.defer(Message("pdp-view", 0, 6, 0, "k", None, record(offset=6)))
        progress.note(out)
        assert progress.to_commit() == {P0: 6}
        progress.commit({P0: 6})
        assert progress.to_commit() == {}
        out = Outbox("s")
        out.settle(Message("pdp-view", 0, 6, 0, "k", None, record(offset=6)))
        progress.note(out)
        assert progress.to_commit() == {P0: 10}

    def test_changelog_records_name_the_input_of_their_shard(self) -> None:
        progress = Progress(LastSeen.spec)
        progress.begin({P0: 5, P1: 7})
        written = [
            OutRecord("interaction-state", b"u", b"state", 0),
            OutRecord("interaction-state", b"u", None, 0),
            OutRecord("recommendation-updated", b"for-you:u", b"list"),
        ]
        stamped = progress.stamp(written, {P0: 6})
        assert [(name, json.loads(value)) for name, value in stamped[0].headers] == [
            (SOURCE_OFFSETS_HEADER, {"pdp-view/0": 6})
        ]
        assert not stamped[1].headers
        assert stamped[2] == written[2]

    def test_the_furthest_input_of_a_changelog_counts(self) -> None:
        def state(text: str) -> Any:
            headers = [("other", b"x"), (SOURCE_OFFSETS_HEADER, text.encode())]
            return Message("interaction-state", 0, 0, 0, "u", None, record(headers=headers))

        states = [state('{"pdp-view/0": 6}'), state('{"pdp-view/0": 4, "pdp-view/1": 1}')]
        assert included_offsets(states) == {P0: 6, P1: 1}


class TestDecoding:
    def decoded(self, *records: Record) -> tuple[list[Any], Outbox]:
        out = Outbox("last-seen")
        return Decoder(LastSeen.spec).inputs(records, out), out

    def test_gives_messages_in_order(self) -> None:
        (message,), out = self.decoded(record(encode(view()), b"anna", offset=3))
        assert (message.key, message.value, message.offset, message.cause) == ("anna", view(), 3, "pdp-view/e1")
        assert not out.records

    @pytest.mark.parametrize(
        ("refused", "reason"),
        [
            (record(encode(view()), None), "has no key"),
            (record(encode(view()), b"\xff"), "not UTF-8"),
            (record(encode(view()), b"ben"), "belongs under 'anna'"),
            (record(None, b"anna"), "a null value means nothing"),
            (record(b"\xc3\x01 and more", b"anna"), "no schema of pdp-view"),
            (record(encode(view(at_ms=5_001 + FUTURE_TOLERANCE_MS)), b"anna"), "ahead of the broker"),
        ],
    )
    def test_refuses_what_breaks_the_contract(self, refused: Record, reason: str) -> None:
        messages, out = self.decoded(refused)
        assert messages == []
        (letter,) = out.records
        assert reason in dict(letter.headers)["__connect.errors.exception.message"].decode()
        assert out.outcomes == {("pdp-view", "dead-letter"): 1}

    def test_an_event_as_far_ahead_as_clocks_differ_is_taken(self) -> None:
        messages, _ = self.decoded(record(encode(view(at_ms=5_000 + FUTURE_TOLERANCE_MS)), b"anna"))
        assert len(messages) == 1

    def test_tables_leave_out_what_cannot_be_read_and_changelogs_stop(self) -> None:
        decoder = Decoder(LastSeen.spec)
        bad = record(b"?", b"p1", topic="product-created")
        retired = record(None, b"p2", topic="product-created")
        assert [m.key for m in decoder.tables([bad, retired])] == ["p2"]
        with pytest.raises(InvalidEventError):
            decoder.changelog([record(None, None, topic="interaction-state")])

    def test_tables_can_be_handed_over_as_bytes(self) -> None:
        spec = StageSpec("s", (PDP_VIEW,), tables=(PRODUCT_CREATED,), undecoded=frozenset({"product-created"}))
        data = encode(ProductCreated("p1", 1))
        (message,) = Decoder(spec).tables([record(data, b"p1", topic="product-created")])
        assert (message.value, message.record.value) == (None, data)


class TestOutbox:
    def test_publishes_under_the_events_own_key(self) -> None:
        out = Outbox("s")
        listed = RecommendationUpdated("for-you", "anna", 1, [], 1, "pdp-view/e1", 4_000)
        out.publish(listed)
        out.publish(UserHistory("anna", [], [], [], [], [], [], 1), partition=2)
        out.retract(RECOMMENDATION_UPDATED, "similar:p1")
        assert out.records == [
            OutRecord("recommendation-updated", b"for-you:anna", encode(listed)),
            OutRecord("interaction-state", b"anna", out.records[1].value, 2),
            OutRecord("recommendation-updated", b"similar:p1", None),
        ]
        assert out.lists == [("for-you", 4_000)]

    def test_refuses_tombstones_where_they_mean_nothing(self) -> None:
        with pytest.raises(ConfigurationError, match="not compacted"):
            Outbox("s").retract(PDP_VIEW, "anna")


class TestDeadLetter:
    def test_is_the_record_as_it_came_with_connects_headers(self) -> None:
        came = record(b"v", b"k", offset=7, headers=[("trace", b"1")])
        letter = dead_letter(came, InvalidEventError("price is -1"), "image-features")
        assert letter[:4] == ("dead-letter", b"k", b"v", None)
        assert letter.timestamp_ms == 5_000
        assert list(letter.headers) == [
            ("trace", b"1"),
            ("__connect.errors.topic", b"pdp-view"),
            ("__connect.errors.partition", b"0"),
            ("__connect.errors.offset", b"7"),
            ("__connect.errors.stage", b"image-features"),
            ("__connect.errors.class.name", b"consumers.image_features"),
            ("__connect.errors.exception.class.name", b"schemas.errors.InvalidEventError"),
            ("__connect.errors.exception.message", b"price is -1"),
        ]

    def test_message_is_bounded_and_encodable(self) -> None:
        letter = dead_letter(record(), ValueError("\udcff" + "x" * 100_000), "s")
        said = dict(letter.headers)["__connect.errors.exception.message"]
        assert len(said) <= 4_096
        said.decode()

    def test_a_record_of_nothing_still_makes_one(self) -> None:
        assert dead_letter(record(None, None), ValueError(), "s").value == b""


class TestBatchLimit:
    def test_shrinks_to_what_fits_the_time_and_grows_again(self) -> None:
        limit = BatchLimit(1_000, 2.0)
        limit.learn(1_000, 8.0)
        assert limit.records == 250
        limit.learn(250, 1.5)
        assert limit.records == 250
        limit.learn(10, 0.1)
        limit.learn(10, 0.1)
        limit.learn(10, 0.1)
        assert limit.records == 1_000
        limit.learn(1, 60.0)
        assert limit.records == 1

    def test_measures_what_runs_inside(self) -> None:
        limit = BatchLimit(1_000, 1e-9)
        with limit.timed(1_000):
            pass
        assert limit.records < 1_000


class TestSettings:
    def test_a_hand_over_has_to_be_quick(self) -> None:
        with pytest.raises(ValidationError, match="more than a fifth of max_poll_interval_ms"):
            RuntimeSettings(worker=WorkerSettings(max_batch_seconds=10.0))

    def test_a_lost_heartbeat_is_no_lost_session(self) -> None:
        with pytest.raises(ValidationError, match="three times"):
            RuntimeSettings(session_timeout_ms=5_000)

    @pytest.mark.parametrize("wrong", [{"instance": "a b"}, {"metrics_port": -1}, {"sesion_timeout_ms": 1}])
    def test_what_cannot_be_is_refused(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            RuntimeSettings(**wrong)


class TestErrors:
    @pytest.mark.parametrize(
        ("error", "ours"),
        [
            (errors.CommitFailedError(), FencedError),
            (errors.ProducerFencedError(), FencedError),
            (errors.FencedInstanceIdError(), InstanceTakenError),
            (errors.TopicAuthorizationFailedError(), ConfigurationError),
            (errors.KafkaTimeoutError("slow"), TransactionAbortedError),
        ],
    )
    def test_say_whether_trying_again_can_help(self, error: Exception, ours: type[Exception]) -> None:
        assert type(translated(error, "writing", in_transaction=True)) is ours

    def test_outside_a_transaction_kafka_is_not_to_be_had(self) -> None:
        with (
            pytest.raises(KafkaUnavailableError, match="reading input: KafkaTimeoutError"),
            kafka_errors("reading input"),
        ):
            raise errors.KafkaTimeoutError("slow")


def test_an_assignment_remembers_since_when_each_partition_is_owned() -> None:
    first = Assignment(0, {}).dealt([P0, P1])
    second = first.dealt([P1])
    third = second.dealt([P0, P1])
    assert third == Assignment(3, {P0: 3, P1: 1})


def test_keys_go_where_every_client_sends_them() -> None:
    # From Kafka's own UtilsTest.testMurmur2: murmur2("21") = -973932308, murmur2("foobar") = -790332482.
    assert key_partition(b"21", 1 << 31) == -973932308 & 0x7FFFFFFF
    assert key_partition(b"foobar", 7) == (-790332482 & 0x7FFFFFFF) % 7


def test_the_log_in_memory_lets_go_of_what_everybody_has_read() -> None:
    from consumers.runtime.memory import MemoryTransport

    log = MemoryLog(partitions=1)
    member = MemoryTransport(log, "g", ["pdp-view"])
    for _ in range(3):
        log.append("pdp-view", b"u", b"v")
    member.start({P0: 0})
    assert [r.offset for r in member.poll(2, 0)] == [0, 1]
    log.drop_consumed()
    assert [r.offset for r in log.records("pdp-view")] == [2]
    assert [r.offset for r in member.poll(10, 0)] == [2]
    assert log.append("pdp-view", b"u", b"v").offset == 3
    assert log.end(P0) == 4


def test_the_log_in_memory_knows_its_topics() -> None:
    with pytest.raises(ConfigurationError, match="no partition 5"):
        MemoryLog(2).append(INTERACTION_STATE.name, b"k", b"v", partition=5)


def test_only_who_gathers_lets_the_broker_hold_what_comes() -> None:
    kafka, runtime = KafkaSettings(bootstrap_servers="shop:9092"), RuntimeSettings()
    at_once, gathered = consumer_options(kafka, runtime), consumer_options(kafka, runtime, gather_ms=200)
    assert at_once["fetch_min_bytes"] == 1
    assert gathered["fetch_max_wait_ms"] == 200
    assert gathered["fetch_min_bytes"] > 1
    assert {name for name in at_once if at_once[name] != gathered[name]} == {
        "fetch_min_bytes",
        "fetch_max_wait_ms",
    }
