"""The writer against fastavro, on every schema and at the bounds of numbers and texts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from avro_data import field, record, records, written_by_fastavro
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.packing import TYPE_CODES, pack, unpack
from schemas.registry import EVENT_TYPES, current_schema
from schemas.writing import UNFIT, write_long, writer


def _with_attributes(schema: dict[str, Any], values: dict[str, Any]) -> SimpleNamespace:
    event = SimpleNamespace(**values)
    if schema["name"] == "RecommendationUpdated":
        event.items = [SimpleNamespace(**item) for item in values["items"]]
    return event


@pytest.mark.parametrize("topic", EVENT_TYPES)
@given(data=st.data())
def test_what_is_written_is_what_fastavro_writes(topic: str, data: st.DataObject) -> None:
    schema = current_schema(topic)
    values = data.draw(records(schema))
    assert writer(schema)(_with_attributes(schema, values)) == written_by_fastavro(schema, values)


ANY = record(field("n", "long"), field("x", "double"), field("s", "string"), field("o", ["null", "double"]))


@given(
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(max_size=200),
    st.none() | st.floats(allow_nan=False),
)
@example(-(2**63), -0.0, "", None)
@example(2**63 - 1, float("inf"), "é" * 64, 0.0)
def test_numbers_and_texts_of_any_size(n: int, x: float, s: str, o: float | None) -> None:
    values = {"n": n, "x": x, "s": s, "o": o}
    assert writer(ANY)(SimpleNamespace(**values)) == written_by_fastavro(ANY, values)


@pytest.mark.parametrize(
    "wrong",
    [
        {"n": 2**63},
        {"n": "1"},
        {"n": None},
        {"n": 1.5},
        {"x": "1"},
        {"x": None},
        {"s": 1},
        {"s": "\ud800"},
        {"o": "1"},
    ],
)
def test_what_does_not_fit_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UNFIT):
        writer(ANY)(SimpleNamespace(**{"n": 1, "x": 1.0, "s": "", "o": None, **wrong}))


def test_an_int_has_32_bits() -> None:
    write = writer(record(field("n", "int"), field("m", "int")))
    assert write(SimpleNamespace(n=2**31 - 1, m=-(2**31))) == write_long(2**31 - 1) + write_long(-(2**31))
    with pytest.raises(OverflowError, match="32 bits"):
        write(SimpleNamespace(n=0, m=2**31))


@pytest.mark.parametrize(("name", "numbers"), [("int64", [-5, 2**62]), ("uint8", [0, 255]), ("float64", [-0.5])])
def test_packed_numbers_come_back(name: str, numbers: list[float]) -> None:
    code = TYPE_CODES[name]
    assert unpack(code, pack(code, numbers)) == numbers
    with pytest.raises(ValueError, match="multiple"):
        unpack(code, pack(code, numbers) + b"x") if name != "uint8" else unpack("q", b"x")


def test_packed_numbers_are_little_endian() -> None:
    assert pack("q", [1]) == b"\x01" + bytes(7)
    assert pack("d", [1.0]) == bytes(6) + b"\xf0\x3f"
