"""Columns of numbers as packed bytes: what an array type would write number by number, in one piece.

A field's type ``{"type": "bytes", "packed": "int64"}`` says so; events hold sequences of numbers as ever.
Little-endian, one number after the other, without padding.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator, Sequence
from typing import Any

TYPE_CODES = {"int64": "q", "uint8": "B", "float64": "d"}
"""What ``packed`` may say, and the code of it in ``array``."""

_SWAPPED = sys.byteorder != "little"


def packed_fields(schema: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The names of a record's packed fields, and what each says; ``KeyError`` for what no ``packed`` may say."""
    for field in schema["fields"]:
        kind = field["type"]
        if isinstance(kind, dict) and "packed" in kind:
            yield field["name"], TYPE_CODES[kind["packed"]]


def pack(type_code: str, numbers: Sequence[float]) -> bytes:
    """Numbers as bytes; ``TypeError`` or ``OverflowError`` for what does not fit the type."""
    if isinstance(numbers, array) and numbers.typecode == type_code and not _SWAPPED:
        return numbers.tobytes()
    column = array(type_code, numbers)
    if _SWAPPED:
        column.byteswap()
    return column.tobytes()


def unpack(type_code: str, data: bytes) -> list[Any]:
    """Bytes as numbers; ``ValueError`` where the last is not whole."""
    column = array(type_code)
    column.frombytes(data)
    if _SWAPPED:
        column.byteswap()
    return column.tolist()
