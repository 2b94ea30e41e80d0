"""Which reader's schema reads which writer's: by table, and against what the library does with real messages."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from avro_data import field, record, records
from fastavro import parse_schema, schemaless_reader, schemaless_writer
from hypothesis import event, given
from hypothesis import strategies as st

from schemas.resolution import why_unreadable

NESTED = {"type": "record", "name": "Inner", "fields": [field("a", "int")]}

WIDER_NESTED = {**NESTED, "fields": [field("a", "int"), field("b", "int")]}


def enum(*symbols: str, **more: str) -> dict[str, Any]:
    return {"type": "enum", "name": "Colour", "symbols": [*symbols], **more}


def fixed(size: int) -> dict[str, Any]:
    return {"type": "fixed", "name": "Digest", "size": size}


@pytest.mark.parametrize(
    ("reader", "writer"),
    [
        ("long", "int"),
        ("double", "long"),
        ("double", "float"),
        ("bytes", "string"),
        (["null", "string"], "string"),
        (["null", "double"], "int"),
        ("string", ["string"]),
        (["null", "string"], ["null"]),
        ({"type": "array", "items": "long"}, {"type": "array", "items": "int"}),
        ({"type": "map", "values": ["null", "int"]}, {"type": "map", "values": "int"}),
        (record(field("a", "int"), field("b", "int", default=0)), record(field("a", "int"))),
        (record(field("a", "int")), record(field("b", "int"), field("a", "int"))),
        (record(field("b", "int", aliases=["a"])), record(field("a", "int"))),
        (enum("RED", "BLUE"), enum("RED")),
        (enum("RED", default="RED"), enum("RED", "BLUE")),
        (record(field("a", NESTED), field("b", "Inner")), record(field("a", NESTED), field("b", "Inner"))),
    ],
)
def test_what_can_be_read(reader: Any, writer: Any) -> None:
    assert why_unreadable(reader, writer) == []


@pytest.mark.parametrize(
    ("reader", "writer", "reason"),
    [
        ("int", "long", "the message was written as long and cannot be read as int"),
        ("float", "double", "written as double"),
        ("string", "bytes", "written as bytes and cannot be read as string"),
        ("string", ["null", "string"], "written as null and cannot be read as string"),
        (["null", "string"], ["null", "int"], "may be int, which no branch of the reader's union takes"),
        ({"type": "array", "items": "int"}, {"type": "map", "values": "int"}, "written as map"),
        (record(field("a", "int")), record(field("b", "int")), "a is missing in what was written"),
        (
            record(field("a", "string")),
            record(field("a", "int")),
            "a was written as int and cannot be read as string",
        ),
        (
            record(
                field(
                    "x", {"type": "array", "items": {**NESTED, "fields": [field("a", "int"), field("b", "int")]}}
                )
            ),
            record(field("x", {"type": "array", "items": NESTED})),
            "x.b is missing",
        ),
        (enum("RED"), enum("RED", "BLUE"), "may be BLUE, which the reader's enum lacks"),
        (
            {"type": "fixed", "name": "F", "size": 4},
            {"type": "fixed", "name": "F", "size": 8},
            "written with 8 bytes",
        ),
        ({**record(), "name": "Other"}, record(), "written as recsys.events.Sample and is read as"),
    ],
)
def test_what_cannot_be_read_and_why(reader: Any, writer: Any, reason: str) -> None:
    (problem,) = why_unreadable(reader, writer)
    assert reason in problem


def test_a_type_that_holds_itself_is_compared_once() -> None:
    node = {"type": "record", "name": "Node", "fields": [field("value", "int"), field("next", ["null", "Node"])]}
    wider = {**node, "fields": [field("value", "long"), field("next", ["null", "Node"])]}
    assert why_unreadable(wider, node) == []
    assert why_unreadable(node, wider) == ["value was written as long and cannot be read as int"]


def test_a_name_is_looked_up_in_each_schemas_own_types() -> None:
    wider = {**NESTED, "fields": [field("a", "long")]}
    reader = record(field("first", NESTED), field("second", "Inner"))
    writer = record(field("first", wider), field("second", "Inner"))
    assert why_unreadable(reader, writer) == ["first.a was written as long and cannot be read as int"]


_DEFAULTS = {"int": 1, "long": 2, "double": 0.5, "string": "s", "bytes": "b", "boolean": True, "null": None}
_kinds = st.recursive(
    st.sampled_from(["int", "long", "double", "string", "bytes", "boolean"]),
    lambda inner: st.one_of(
        st.builds(lambda items: {"type": "array", "items": items}, inner),
        st.builds(lambda values: {"type": "map", "values": values}, inner),
        inner.map(lambda kind: kind if isinstance(kind, list) else ["null", kind]),
    ),
    max_leaves=3,
)


@st.composite
def _fields(draw: st.DrawFn, name: str) -> dict[str, Any]:
    kind = draw(_kinds)
    defaulted = isinstance(kind, str) and draw(st.booleans())
    return field(name, kind, **({"default": _DEFAULTS[kind]} if defaulted else {}))


@st.composite
def _changes(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """A writer's schema, and a reader's that shares most of its fields."""
    written = [draw(_fields(name)) for name in draw(st.lists(st.sampled_from("abcd"), unique=True))]
    read = []
    for one in written:
        change = draw(st.sampled_from(["keep", "keep", "widen", "nullable", "drop", "replace"]))
        if change == "widen":
            read.append({**one, "type": {"int": "double", "string": "bytes"}.get(str(one["type"]), one["type"])})
        elif change == "nullable" and not isinstance(one["type"], list):
            read.append(field(one["name"], ["null", one["type"]]))
        elif change == "replace":
            read.append(draw(_fields(one["name"])))
        elif change != "drop":
            read.append(one)
    read += [draw(_fields(name)) for name in draw(st.lists(st.sampled_from("xy"), unique=True))]
    return record(*written), record(*draw(st.permutations(read)))


@given(st.data(), _changes())
def test_the_library_reads_whatever_the_check_lets_through(
    data: st.DataObject, change: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    writer, reader = change
    event("readable" if not why_unreadable(reader, writer) else "refused")
    if why_unreadable(reader, writer):
        return
    body = BytesIO()
    schemaless_writer(body, parse_schema(writer), data.draw(records(writer)))
    body.seek(0)
    read = schemaless_reader(body, parse_schema(writer), parse_schema(reader))
    assert isinstance(read, dict)
    assert set(read) == {one["name"] for one in reader["fields"]}
    assert not body.read()
