"""How to reach a cluster: what is taken, what is refused, and that secrets stay secret. And what topics are."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import ValidationError

from schemas.kafka_settings import EMBEDDED_BOOTSTRAP_SERVERS, KafkaSettings
from schemas.registry import EVENT_TYPES
from schemas.topics import DEAD_LETTER, PDP_VIEW, PRODUCT_CREATED, TOPICS

SASL: dict[str, Any] = {
    "security_protocol": "SASL_SSL",
    "sasl_mechanism": "SCRAM-SHA-512",
    "sasl_plain_username": "shop",
    "sasl_plain_password": "hunter2-hunter2",
}


def test_unset_means_the_embedded_kafka() -> None:
    for servers in (None, "", "  "):
        settings = KafkaSettings(bootstrap_servers=servers)
        assert settings.embedded
        assert settings.client_options()["bootstrap_servers"] == [EMBEDDED_BOOTSTRAP_SERVERS]


def test_servers_are_listed_with_their_ports() -> None:
    settings = KafkaSettings(bootstrap_servers="a:9092, b.example:9093,[::1]:9092")
    assert not settings.embedded
    assert settings.client_options()["bootstrap_servers"] == ["a:9092", "b.example:9093", "[::1]:9092"]


def test_the_prefix_goes_before_every_name() -> None:
    settings = KafkaSettings(topic_prefix="shop-1.")
    assert settings.named(PDP_VIEW) == "shop-1.pdp-view"
    assert settings.named("interactions") == "shop-1.interactions"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"bootstrap_server": "a:1"}, "Extra inputs are not permitted"),
        ({"bootstrap_servers": "a"}, "'a' is no server; give host:port[,host:port]"),
        ({"bootstrap_servers": "a:1,,b:2"}, "'' is no server"),
        ({"bootstrap_servers": "kafka://a:1"}, "is no server"),
        ({"topic_prefix": "a b"}, "topic_prefix may hold at most 60 of the characters"),
        ({"topic_prefix": "x" * 61}, "topic_prefix may hold at most 60"),
        ({"partitions": 0}, "greater than or equal to 1"),
        ({"security_protocol": "TLS"}, "Input should be 'PLAINTEXT', 'SSL'"),
        ({**SASL, "sasl_plain_password": None}, "SASL_SSL needs sasl_mechanism, sasl_plain_username and"),
        ({**SASL, "security_protocol": "SSL"}, "sasl_ settings need security_protocol SASL_SSL"),
        ({"ssl_cafile": "ca.pem"}, "ssl_ settings need security_protocol SSL or SASL_SSL"),
        ({"security_protocol": "SSL", "ssl_keyfile": "key.pem"}, "ssl_keyfile needs ssl_certfile"),
    ],
)
def test_what_cannot_be_meant_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(message)):
        KafkaSettings(**given)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        KafkaSettings().topic_prefix = "x"  # type: ignore[misc]


def test_secrets_are_masked_everywhere_but_in_the_clients_options() -> None:
    settings = KafkaSettings(**SASL, ssl_certfile="c", ssl_keyfile="k", ssl_password="swordfish-swordfish")
    for shown in (repr(settings), str(settings), settings.model_dump_json(), repr(settings.model_dump())):
        assert "hunter2" not in shown
        assert "swordfish" not in shown
    options = settings.client_options()
    assert options["sasl_plain_password"] == "hunter2-hunter2"
    assert options["ssl_password"] == "swordfish-swordfish"
    assert options["sasl_mechanism"] == "SCRAM-SHA-512"


def test_every_topic_but_the_dead_letters_has_a_schema() -> None:
    assert {*EVENT_TYPES, DEAD_LETTER.name} == set(TOPICS)
    assert all(name == topic.name for name, topic in TOPICS.items())


def test_a_dead_letter_has_room_for_the_message_and_its_reasons() -> None:
    largest = max(topic.max_message_bytes for topic in TOPICS.values() if topic is not DEAD_LETTER)
    assert DEAD_LETTER.max_message_bytes >= largest + 100_000


def test_tables_are_compacted_in_time_and_events_are_kept_for_theirs() -> None:
    table, events = PRODUCT_CREATED.configs(), PDP_VIEW.configs()
    assert table["cleanup.policy"] == "compact"
    assert int(table["segment.bytes"]) < 1024**3
    assert int(table["max.compaction.lag.ms"]) <= 7 * 86_400_000
    assert "retention.ms" not in table
    assert events["cleanup.policy"] == "delete"
    assert int(events["retention.ms"]) == 7 * 86_400_000
    assert events["message.timestamp.type"] == "LogAppendTime"
