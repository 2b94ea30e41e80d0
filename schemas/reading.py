"""Reads many small records of one schema at once: field by field over all of them, not record by record.

For records of texts, whole numbers, doubles and optional ones of these, such as a shop's events. What is unusual
(a text of 64 bytes or more or beyond ASCII, an empty one, a negative number, anything malformed) is left to the
ordinary reader, which reads it or says what is wrong. Source: Apache Avro 1.12 specification, "Binary encoding".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Column = Sequence[Any]
_Integers = NDArray[np.int64]
_Mask = NDArray[np.bool_]

_MAX_VARINT_BYTES = 9
_PADDING = bytes(16)


class _Records:
    """Records one after the other, and how far each has been read."""

    def __init__(self, records: Sequence[bytes]) -> None:
        joined = b"".join([*records, _PADDING])
        lengths = np.fromiter(map(len, records), np.int64, len(records))
        self.bytes = np.frombuffer(joined, np.uint8)
        self.text = joined.decode("latin-1")
        self.ends: _Integers = np.cumsum(lengths)
        self.at: _Integers = self.ends - lengths
        self.sound: _Mask = np.ones(len(records), bool)
        self._beyond_ascii = np.concatenate([[0], np.cumsum(self.bytes >= 0x80)])

    def skip(self, prefix: bytes) -> None:
        """Every record is to begin with these bytes."""
        for number in prefix:
            self.sound &= self.bytes[self.at] == number
            self._advance(1)

    def texts(self, present: _Mask) -> Column:
        first = self.bytes[self.at].astype(np.int64)
        begins = self.at + 1
        ends = np.minimum(begins + (first >> 1), len(self.text))
        usual = (first > 0) & (first & 0x81 == 0) & (self._beyond_ascii[begins] == self._beyond_ascii[ends])
        self.sound &= usual | ~present
        self._advance(np.where(present, 1 + (first >> 1), 0))
        text = self.text
        return [text[begin:end] for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)]

    def longs(self, present: _Mask) -> Column:
        numbers = np.zeros(len(self.at), np.int64)
        going = present.copy()
        for place in range(_MAX_VARINT_BYTES):
            byte = self.bytes[self.at].astype(np.int64)
            numbers |= np.where(going, (byte & 0x7F) << 7 * place, 0)
            self._advance(going)
            going &= byte >= 0x80
            if not going.any():
                break
        self.sound &= ~going & (numbers & 1 == 0)
        column: Column = (numbers >> 1).tolist()
        return column

    def doubles(self, present: _Mask) -> Column:
        places = self.at[:, None] + np.arange(8)
        column: Column = self.bytes[places].view("<f8").ravel().tolist()
        self._advance(np.where(present, 8, 0))
        return column

    def branch(self, present: int) -> _Mask:
        """Which records have the branch of a union of two that is not null."""
        byte = self.bytes[self.at]
        self.sound &= (byte == 0) | (byte == 2)
        self._advance(1)
        return np.asarray(byte == 2 * present)

    def _advance(self, by: _Integers | _Mask | int) -> None:
        self.at = self.at + by
        self.sound &= self.at <= self.ends
        self.at = np.minimum(self.at, self.ends)


_READ: dict[str, Callable[[_Records, _Mask], Column]] = {
    "string": _Records.texts,
    "long": _Records.longs,
    "double": _Records.doubles,
}


class FlatReader:
    """Reads records of one schema; ``of`` says whether it is one that can be read so."""

    def __init__(self, fields: Sequence[Any], prefix: bytes) -> None:
        self._fields = [field["type"] for field in fields]
        self._prefix = prefix

    @classmethod
    def of(cls, schema: dict[str, Any], prefix: bytes) -> FlatReader | None:
        """A reader of records that begin with ``prefix``; None for a schema with other types in it."""
        types = [field["type"] for field in schema["fields"]]
        flat = all(_base(kind) in _READ for kind in types)
        return cls(schema["fields"], prefix) if flat else None

    def columns(self, records: Sequence[bytes]) -> tuple[list[Column], list[bool]]:
        """The fields of all records, a column each, and which records were read: the others hold anything."""
        left = _Records(records)
        left.skip(self._prefix)
        columns = [_column(kind, left) for kind in self._fields]
        read: list[bool] = (left.sound & (left.at == left.ends)).tolist()
        return columns, read


def _base(kind: Any) -> Any:
    """The type that is not null in a union of two."""
    others = [branch for branch in kind if branch != "null"] if isinstance(kind, list) else [kind]
    return others[0] if len(others) == 1 and isinstance(others[0], str) else None


def _column(kind: Any, records: _Records) -> Column:
    read = _READ[_base(kind)]
    if not isinstance(kind, list):
        return read(records, np.ones(len(records.at), bool))
    present = records.branch(kind.index(_base(kind)))
    values = read(records, present)
    return [value if there else None for value, there in zip(values, present.tolist(), strict=True)]
