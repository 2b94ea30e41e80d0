"""Writes values by an Avro schema: a function a type, put together once.

Byte for byte what fastavro writes, which a test holds, in a third of its time where a record holds many texts: a
text that comes again is not encoded again, and records in an array are written field by field. Source: Apache Avro
1.12 specification, "Binary encoding". Reading, which has to do with writers of every version, is fastavro's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from operator import attrgetter
from struct import Struct
from struct import error as StructError  # noqa: N812
from typing import Any

from schemas.packing import TYPE_CODES, pack

Write = Callable[[Any], bytes]

UNFIT = (TypeError, ValueError, AttributeError, OverflowError, StructError)
"""What is raised where a value does not fit its schema."""

_MAX_TEXTS = 100_000
_MAX_TEXT_CHARACTERS = 64
_INT_BOUND, _LONG_BOUND = 1 << 31, 1 << 63


class _Texts(dict[str, bytes]):
    """Texts as they are written; what comes anew takes the place of all when there are too many."""

    def __missing__(self, text: str) -> bytes:
        data = text.encode()
        written = write_long(len(data)) + data
        if len(text) <= _MAX_TEXT_CHARACTERS:
            if len(self) >= _MAX_TEXTS:
                self.clear()
            self[text] = written
        return written


def writer(schema: dict[str, Any]) -> Write:
    """Writes events by a record schema, the fields taken from attributes; raises one of ``UNFIT``."""
    return _record(schema)


def write_long(number: int) -> bytes:
    """Zigzag, seven bits a byte, the least first."""
    if not -_LONG_BOUND <= number < _LONG_BOUND:
        raise OverflowError(f"{number} does not fit 64 bits")
    left = number << 1 if number >= 0 else ~(number << 1)
    if left < 0x80:
        return _BYTES[left]
    written = bytearray()
    while left >= 0x80:
        written.append(left & 0x7F | 0x80)
        left >>= 7
    written.append(left)
    return bytes(written)


_BYTES = [bytes([number]) for number in range(256)]
_TEXTS = _Texts()
_END = _BYTES[0]


def _int(number: int) -> bytes:
    if not -_INT_BOUND <= number < _INT_BOUND:
        raise OverflowError(f"{number} does not fit 32 bits")
    return write_long(number)


def _boolean(value: bool) -> bytes:
    return _BYTES[bool(value)]


def _bytes(data: bytes) -> bytes:
    return write_long(len(data)) + bytes(data)


_PRIMITIVES: dict[str, Write] = {
    "string": _TEXTS.__getitem__,
    "long": write_long,
    "int": _int,
    "double": Struct("<d").pack,
    "boolean": _boolean,
    "bytes": _bytes,
}


def _write(node: Any) -> Write:
    if isinstance(node, list):
        return _optional(node)
    if isinstance(node, str):
        return _PRIMITIVES[node]
    if "packed" in node:
        return _packed(TYPE_CODES[node["packed"]])
    made: dict[str, Callable[[Any], Write]] = {"array": _array, "map": _map, "record": _record}
    return made[node["type"]](node) if node["type"] in made else _write(node["type"])


def _packed(type_code: str) -> Write:
    return lambda numbers: _bytes(pack(type_code, numbers))


def _optional(branches: list[Any]) -> Write:
    """A union of null and one other type, in either order."""
    (other,) = (branch for branch in branches if branch != "null")
    absent, present = _BYTES[2 * branches.index("null")], _BYTES[2 * branches.index(other)]
    write = _write(other)
    return lambda value: absent if value is None else present + write(value)


def _array(node: dict[str, Any]) -> Write:
    if isinstance(node["items"], dict) and node["items"]["type"] == "record":
        return _records(node["items"])
    write = _write(node["items"])

    def array(values: Sequence[Any]) -> bytes:
        return b"".join([write_long(len(values)), *map(write, values), _END]) if values else _END

    return array


def _map(node: dict[str, Any]) -> Write:
    text, write = _TEXTS, _write(node["values"])

    def mapping(values: Mapping[str, Any]) -> bytes:
        pairs = (text[key] + write(value) for key, value in values.items())
        return b"".join([write_long(len(values)), *pairs, _END]) if values else _END

    return mapping


def _record(node: dict[str, Any]) -> Write:
    values = attrgetter(*(field["name"] for field in node["fields"]))
    writes = [_write(field["type"]) for field in node["fields"]]

    def record(event: Any) -> bytes:
        return b"".join([write(value) for write, value in zip(writes, values(event), strict=True)])

    return record


def _records(node: dict[str, Any]) -> Write:
    """Several records of one schema, each field of all of them in turn."""
    fields = [(attrgetter(field["name"]), _write(field["type"])) for field in node["fields"]]

    def records(events: Sequence[Any]) -> bytes:
        if not events:
            return _END
        columns = [map(write, map(value, events)) for value, write in fields]
        written = chain.from_iterable(zip(*columns, strict=True))
        return b"".join([write_long(len(events)), *written, _END])

    return records
