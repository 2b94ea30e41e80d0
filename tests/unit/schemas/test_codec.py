"""Single-object encoding: round trips, the fingerprint's test vectors, and a typed error for everything else."""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from io import BytesIO
from typing import Any

import pytest
from avro_data import records
from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import HEADER_BYTES, MARKER, decode, decoder, encode, topic_of
from schemas.errors import (
    ContractError,
    InvalidEventError,
    OversizeMessageError,
    TruncatedMessageError,
    UnknownSchemaError,
)
from schemas.events import Event, ListedProduct, PdpView, ProductCreated, RecommendationUpdated
from schemas.registry import EVENT_TYPES, contract, crc64_fingerprint, current_schema
from schemas.topics import TOPICS

VIEW = PdpView("e1", 1_700_000_000_000, "user-1", None, "P1")
LIST = RecommendationUpdated("similar", "P1", 3, (ListedProduct("P2", 0.5, "looks-like"),), 5, "pdp-view/e1", 6)


@st.composite
def events(draw: st.DrawFn, topic: str) -> Event:
    values = draw(records(current_schema(topic)))
    if topic == "recommendation-updated":
        values["items"] = tuple(ListedProduct(**item) for item in values["items"])
    if values.get("user_id", "") is None and values["session_id"] is None:
        values["session_id"] = "guest"
    event: Event = EVENT_TYPES[topic](**values)
    return event


@pytest.mark.parametrize("topic", EVENT_TYPES)
@given(data=st.data())
def test_decoding_an_encoded_event_gives_it_back(topic: str, data: st.DataObject) -> None:
    event = data.draw(events(topic))
    encoded = encode(event)
    assert encoded[:HEADER_BYTES] == MARKER + contract(topic).fingerprint
    assert decode(topic, encoded) == event
    assert decoder(topic)(encoded) == event
    assert topic_of(event) is TOPICS[topic]


@pytest.mark.parametrize("topic", EVENT_TYPES)
@given(data=st.data())
def test_bytes_of_any_kind_give_an_event_or_a_typed_error(topic: str, data: st.DataObject) -> None:
    body = data.draw(st.binary(max_size=60))
    with suppress(ContractError):
        decode(topic, MARKER + contract(topic).fingerprint + body)


@pytest.mark.parametrize("event", [VIEW, LIST], ids=["view", "list"])
def test_a_message_cut_at_any_byte_is_truncated(event: Event) -> None:
    encoded = encode(event)
    for length in range(len(encoded)):
        with pytest.raises(TruncatedMessageError):
            decode(topic_of(event).name, encoded[:length])


def test_trailing_bytes_are_told() -> None:
    with pytest.raises(TruncatedMessageError, match="goes on for 3 bytes after its schema"):
        decode("pdp-view", encode(VIEW) + b"abc")


def test_an_unknown_fingerprint_says_what_to_do() -> None:
    encoded = encode(VIEW)
    with pytest.raises(UnknownSchemaError, match=r"fingerprint 0{16}; upgrade this reader, or publish"):
        decode("pdp-view", MARKER + bytes(8) + encoded[HEADER_BYTES:])
    with pytest.raises(UnknownSchemaError, match="does not begin with c301"):
        decode("pdp-view", b"{" + encoded[1:])
    with pytest.raises(UnknownSchemaError, match="no schema of cart-add has the fingerprint"):
        decode("cart-add", encoded)


def test_an_invalid_union_branch_is_not_called_truncated() -> None:
    with pytest.raises(ContractError, match="cannot be read") as refused:
        decode("pdp-view", MARKER + contract("pdp-view").fingerprint + b"\x02e\x02\x09" + bytes(10))
    assert not isinstance(refused.value, TruncatedMessageError)


def test_what_is_larger_than_its_topic_takes_is_refused_both_ways() -> None:
    limit = TOPICS["product-created"].max_message_bytes
    with pytest.raises(OversizeMessageError, match=f"are more than the {limit} that the topic takes"):
        encode(ProductCreated("P1", 0, title="x" * limit))
    with pytest.raises(OversizeMessageError):
        decode("product-created", bytes(limit + 1))
    overhead = len(encode(ProductCreated("P1", 0, title="x" * 100_000))) - 100_000
    fits = ProductCreated("P1", 0, title="x" * (limit - overhead))
    assert len(encode(fits)) == limit
    assert decode("product-created", encode(fits)) == fits


def test_a_body_that_is_no_event_is_invalid() -> None:
    empty_id = bytes([0]) + encode(VIEW)[HEADER_BYTES + 3 :]
    with pytest.raises(InvalidEventError, match="event_id is empty"):
        decode("pdp-view", encode(VIEW)[:HEADER_BYTES] + empty_id)


@pytest.mark.parametrize(
    "event",
    [
        dataclasses.replace(LIST, subject="\ud800"),
        dataclasses.replace(LIST, revision=2**63),
        dataclasses.replace(LIST, revision=None),
        dataclasses.replace(LIST, items=(ListedProduct("P", "high", "x"),)),  # type: ignore[arg-type]
    ],
)
def test_what_does_not_fit_the_schema_is_refused_when_it_is_written(event: Event) -> None:
    with pytest.raises(InvalidEventError, match="RecommendationUpdated does not fit its schema"):
        encode(event)


@pytest.mark.parametrize(
    ("schema", "fingerprint"),
    [
        ("null", 7195948357588979594),
        ("boolean", -6970731678124411036),
        ("int", 8247732601305521295),
        ("long", -3434872931120570953),
        ("float", 5583340709985441680),
        ("double", -8181574048448539266),
        ("bytes", 5746618253357095269),
        ("string", -8142146995180207161),
        ({"type": "fixed", "name": "foo", "size": 15}, 1756455273707447556),
        ({"type": "record", "name": "foo", "fields": []}, -4824392279771201922),
    ],
)
def test_fingerprints_are_those_of_avros_own_test_vectors(schema: Any, fingerprint: int) -> None:
    """From share/test/data/schema-tests.txt of Apache Avro, which gives them as signed 64-bit numbers."""
    assert crc64_fingerprint(schema) == (fingerprint % 2**64).to_bytes(8, "little")


def _crc64_avro(text: bytes) -> int:
    """The specification's own pseudo-code for the Rabin fingerprint."""
    empty = 0xC15D213AA4D7A795
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (empty & -(value & 1))
        table.append(value)
    crc = empty
    for byte in text:
        crc = (crc >> 8) ^ table[(crc ^ byte) & 0xFF]
    return crc


def test_the_fingerprint_is_taken_of_the_canonical_form() -> None:
    schema = {
        "type": "record", "name": "A", "namespace": "n", "doc": "Dropped.", "aliases": ["B"],
        "fields": [{"name": "x", "type": {"type": "int"}, "default": 1, "doc": "Dropped."}],
    }  # fmt: skip
    canonical = b'{"name":"n.A","type":"record","fields":[{"name":"x","type":"int"}]}'
    assert crc64_fingerprint(schema) == _crc64_avro(canonical).to_bytes(8, "little")


def test_each_event_type_has_the_fields_and_defaults_of_its_schema() -> None:
    for topic, event_type in EVENT_TYPES.items():
        written = {field["name"]: field for field in current_schema(topic)["fields"]}
        typed = {field.name: field for field in dataclasses.fields(event_type)}
        assert list(typed) == list(written), topic
        for name, field in typed.items():
            default = field.default_factory() if callable(field.default_factory) else field.default
            default = default.decode("latin-1") if isinstance(default, bytes) else default  # as Avro writes it
            if default is not dataclasses.MISSING:
                assert written[name]["default"] == default, f"{topic}: {name}"


def test_reading_stops_at_the_end_of_the_body() -> None:
    """A length of minus one must not read the rest of the message as a string."""
    body = BytesIO(encode(VIEW)[:HEADER_BYTES] + b"\x01" + b"rest of it")
    with pytest.raises(ContractError):
        decode("pdp-view", body.getvalue())
