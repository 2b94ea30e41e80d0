"""Hypothesis strategies for records of a schema, kept to what the event types accept."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from fastavro import parse_schema, schemaless_writer
from hypothesis import strategies as st

from schemas.packing import pack, packed_fields
from schemas.registry import Schema

_PRIMITIVES: dict[str, st.SearchStrategy[Any]] = {
    "null": st.none(),
    "boolean": st.booleans(),
    "int": st.integers(0, 2),  # ints on the wire are numbers of actions and relations
    "long": st.integers(0, 2**63 - 1),
    "float": st.floats(0.5, 1e6, width=32),
    "double": st.floats(0.5, 1e12),
    "bytes": st.binary(max_size=12),
    "string": st.text(min_size=1, max_size=12),
}


_PACKED = {"int64": _PRIMITIVES["long"], "uint8": _PRIMITIVES["int"], "float64": _PRIMITIVES["double"]}


def records(node: Any) -> st.SearchStrategy[Any]:
    """Values of a schema, or of a part of one, in Python types."""
    if isinstance(node, list):
        return st.one_of(*map(records, node))
    if isinstance(node, str):
        return _PRIMITIVES[node]
    if node["type"] == "record":
        return st.integers(0, 3).flatmap(lambda length: _of_length(node, length))
    if node["type"] == "array":
        return st.lists(records(node["items"]), max_size=3)
    if node["type"] == "bytes":
        return st.lists(_PACKED[node["packed"]], max_size=3)
    if node["type"] == "map":
        return st.dictionaries(st.text(max_size=8), records(node["values"]), max_size=3)
    return records(node["type"])


def _of_length(node: Any, length: int) -> st.SearchStrategy[Any]:
    """Records whose arrays are equally long, as those that belong together position by position have to be."""
    values = {}
    for one in node["fields"]:
        kind = one["type"]
        values[one["name"]] = _column(kind, length) if isinstance(kind, dict) else records(kind)
    return st.fixed_dictionaries(values)


def _column(kind: Any, length: int) -> st.SearchStrategy[Any]:
    if kind["type"] == "array":
        return st.lists(records(kind["items"]), min_size=length, max_size=length)
    if "packed" in kind:
        return st.lists(_PACKED[kind["packed"]], min_size=length, max_size=length)
    return records(kind)


def written_by_fastavro(schema: Schema, values: dict[str, Any]) -> bytes:
    """What the library writes for a record of a schema, packed columns as their bytes."""
    body = BytesIO()
    packed = {name: pack(code, values[name]) for name, code in packed_fields(schema)}
    schemaless_writer(body, parse_schema(schema), {**values, **packed})
    return body.getvalue()


def field(name: str, kind: Any, **more: Any) -> dict[str, Any]:
    unit = ", milliseconds" if name.endswith("_ms") else ""
    return {"name": name, "type": kind, "doc": f"The {name}{unit}.", **more}


def record(*fields: dict[str, Any]) -> Schema:
    return {
        "type": "record",
        "name": "Sample",
        "namespace": "recsys.events",
        "doc": "A sample.",
        "fields": [*fields],
    }
