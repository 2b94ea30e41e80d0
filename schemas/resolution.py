"""Whether a reader's schema can read what a writer's schema wrote, for every message and not just for one.

Source: Apache Avro 1.12 specification, "Schema Resolution". Libraries resolve while they read, so they notice
a mismatch only once a message has it; this looks at the two schemas alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fastavro import parse_schema

Node = Any
"""A schema or a part of one, as JSON has it: a name, a union's list, or an object."""

_PROMOTIONS = {
    "int": {"long", "float", "double"},
    "long": {"float", "double"},
    "float": {"double"},
    "string": {"bytes"},
}
"""What a reader may take a writer's primitive for; not bytes for a string as in Avro, for not all are text."""


def why_unreadable(reader: Node, writer: Node) -> list[str]:
    """Every reason why ``reader`` cannot read some message of ``writer``; empty when it can read all of them."""
    full_reader, full_writer = parse_schema(reader), parse_schema(writer)  # every name with its namespace
    return list(_Resolution(full_reader, full_writer).problems(full_reader, full_writer, ""))


def fields(schema: Node) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every field of every record in a schema, with its path such as ``items.score``."""
    yield from _fields(schema, "")


def _fields(node: Node, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, list):
        for branch in node:
            yield from _fields(branch, path)
    elif isinstance(node, dict):
        for field in node.get("fields", ()):
            name = f"{path}{field['name']}"
            yield name, field
            yield from _fields(field["type"], f"{name}.")
        for inner in ("items", "values", "type"):
            if inner in node and not isinstance(node[inner], str):
                yield from _fields(node[inner], path)


class _Resolution:
    """Two schemas, the types that each names, and the pairs of named types already being compared."""

    def __init__(self, reader: Node, writer: Node) -> None:
        self._of_reader: dict[str, Node] = {}
        self._of_writer: dict[str, Node] = {}
        _collect(reader, self._of_reader)
        _collect(writer, self._of_writer)
        self._compared: set[tuple[str, str]] = set()

    def problems(self, reader: Node, writer: Node, path: str) -> Iterator[str]:
        reader, writer = _named(reader, self._of_reader), _named(writer, self._of_writer)
        if isinstance(writer, list):
            for branch in writer:
                yield from self.problems(reader, branch, path)
            return
        if isinstance(reader, list):
            if not any(self._matches(branch, writer, path) for branch in reader):
                yield f"{_where(path)} may be {_kind(writer)}, which no branch of the reader's union takes"
            return
        reader_kind, writer_kind = _kind(reader), _kind(writer)
        if reader_kind == writer_kind:
            yield from self._same_kind(reader_kind, reader, writer, path)
        elif reader_kind not in _PROMOTIONS.get(writer_kind, ()):
            yield f"{_where(path)} was written as {writer_kind} and cannot be read as {reader_kind}"

    def _matches(self, reader: Node, writer: Node, path: str) -> bool:
        before = set(self._compared)
        matched = next(self.problems(reader, writer, path), None) is None
        if not matched:
            self._compared = before
        return matched

    def _same_kind(self, kind: str, reader: Node, writer: Node, path: str) -> Iterator[str]:
        if kind == "array":
            yield from self.problems(reader["items"], writer["items"], path)
        elif kind == "map":
            yield from self.problems(reader["values"], writer["values"], path)
        elif kind in _NAMED_KINDS:
            if not _same_name(reader, writer):
                yield f"{_where(path)} was written as {writer['name']} and is read as {reader['name']}"
                return
            pair = (reader["name"], writer["name"])
            if pair not in self._compared:  # a type that holds itself is compared once
                self._compared.add(pair)
                yield from _NAMED_KINDS[kind](self, reader, writer, path)

    def record(self, reader: Node, writer: Node, path: str) -> Iterator[str]:
        written = {field["name"]: field for field in writer["fields"]}
        for field in reader["fields"]:
            place = f"{path}{field['name']}"
            source = next((written[name] for name in _names(field) if name in written), None)
            if source is not None:
                yield from self.problems(field["type"], source["type"], f"{place}.")
            elif "default" not in field:
                yield f"{place} is missing in what was written, and the reader's schema has no default for it"

    def enum(self, reader: Node, writer: Node, path: str) -> Iterator[str]:
        unknown = [symbol for symbol in writer["symbols"] if symbol not in reader["symbols"]]
        if unknown and "default" not in reader:
            yield f"{_where(path)} may be {', '.join(unknown)}, which the reader's enum lacks; it has no default"

    def fixed(self, reader: Node, writer: Node, path: str) -> Iterator[str]:
        if reader["size"] != writer["size"]:
            yield f"{_where(path)} was written with {writer['size']} bytes and is read with {reader['size']}"


_NAMED_KINDS: dict[str, Callable[[_Resolution, Node, Node, str], Iterator[str]]] = {
    "record": _Resolution.record,
    "enum": _Resolution.enum,
    "fixed": _Resolution.fixed,
}


def _where(path: str) -> str:
    return path.removesuffix(".") or "the message"


def _kind(node: Node) -> str:
    return node if isinstance(node, str) else str(node["type"])


def _names(field: Node) -> list[str]:
    """The names under which a reader's field may have been written."""
    return [field["name"], *field.get("aliases", ())]


def _same_name(reader: Node, writer: Node) -> bool:
    """Types match by name without namespace, as the specification has it, or by one of the reader's aliases."""
    return writer["name"].rpartition(".")[2] in {name.rpartition(".")[2] for name in _names(reader)}


def _collect(node: Node, into: dict[str, Node]) -> None:
    """Find the definitions of named types, which later parts of the schema refer to by name."""
    if isinstance(node, list):
        for branch in node:
            _collect(branch, into)
    elif isinstance(node, dict):
        if node["type"] in _NAMED_KINDS:
            into[node["name"]] = node
        for field in node.get("fields", ()):
            _collect(field["type"], into)
        for inner in ("items", "values"):
            _collect(node.get(inner), into)


def _named(node: Node, types: dict[str, Node]) -> Node:
    """The definition that a name stands for; everything else as it is."""
    return types.get(node, node) if isinstance(node, str) else node
