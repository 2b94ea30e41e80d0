"""Records that are read together are those that are read one by one, whatever stands between them."""

from __future__ import annotations

from typing import Any

import pytest
from avro_data import field, record, written_by_fastavro
from hypothesis import given
from hypothesis import strategies as st
from test_codec import VIEW, events

from schemas.codec import decode, decode_many, encode
from schemas.errors import ContractError
from schemas.events import PdpView, Purchase
from schemas.reading import FlatReader
from schemas.registry import current_schema

FLAT = ("pdp-view", "cart-add", "purchase", "impression", "trending-state", "recommendation-outcomes")


def alone(topic: str, data: bytes) -> object:
    try:
        return decode(topic, data)
    except ContractError as error:
        return type(error)


@pytest.mark.parametrize("topic", FLAT)
@given(data=st.data())
def test_what_is_read_together_is_what_is_read_alone(topic: str, data: st.DataObject) -> None:
    messages = [encode(data.draw(events(topic))) for _ in range(data.draw(st.integers(0, 3)))]
    for number, change in data.draw(st.dictionaries(st.integers(0, 2), st.integers(0, 80), max_size=2)).items():
        if number < len(messages):
            whole = messages[number]
            spoilt = whole[:change], whole + bytes(change % 4), whole[:change] + b"\x81" + whole[change + 1 :]
            messages[number] = data.draw(st.sampled_from(spoilt))
    together = decode_many(topic, messages)
    assert [event for event in together if event is not None] == [
        alone(topic, message) for message, event in zip(messages, together, strict=True) if event is not None
    ]


def test_usual_events_are_read_together() -> None:
    messages = [VIEW, PdpView("e2", 0, None, "s", "P2"), PdpView("e3", 2**62 - 1, "u" * 63, "s", "P2")]
    assert decode_many("pdp-view", [encode(event) for event in messages]) == messages
    bought = Purchase("e", 5, "u", None, "p", -2.0, 9.5)
    assert decode_many("purchase", [encode(bought)]) == [bought]


def test_what_is_unusual_is_left_to_be_read_alone() -> None:
    unusual = [
        PdpView("é", 1, "u", None, "p"),
        PdpView("e", 1, "u" * 64, None, "p"),
        PdpView("e", 2**62, "u", None, "p"),
    ]
    messages = [encode(event) for event in (*unusual, VIEW)]
    assert decode_many("pdp-view", [*messages, b""]) == [None, None, None, VIEW, None]
    assert decode_many("pdp-view", [encode(VIEW), bytes(100_000_000)]) == [None, None]


def test_what_breaks_a_rule_of_its_type_is_left_to_be_read_alone() -> None:
    nobody: dict[str, Any] = {
        "event_id": "e",
        "event_time_ms": 1,
        "user_id": None,
        "session_id": None,
        "product_id": "p",
    }
    data = encode(VIEW)[:10] + written_by_fastavro(current_schema("pdp-view"), nobody)
    assert decode_many("pdp-view", [data]) == [None]
    assert issubclass(alone("pdp-view", data), ContractError)  # type: ignore[arg-type]


def test_a_schema_with_lists_is_not_flat() -> None:
    assert FlatReader.of(current_schema("co-visits"), b"") is None
    assert decode_many("co-visits", [b"anything"]) == [None]
    assert FlatReader.of(record(field("x", ["null", "long"])), b"") is not None
