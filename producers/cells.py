"""Cells of a table as the values that events hold."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime
from decimal import Decimal

from schemas.errors import ContractError

_BETWEEN = re.compile(r"[,|]")

Value = object
"""A cell: text from CSV, any of Arrow's scalars as Python has them from Parquet."""


class RowError(ContractError):
    """A row cannot become an event; the message says which column and what is accepted."""


def is_empty(value: Value) -> bool:
    """True for a cell that says nothing: a null, no text, or the not-a-number that pandas writes for a null."""
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def as_text(value: Value) -> str:
    """A cell as text; a whole number that Parquet holds as a float loses its ``.0``. Raises ``RowError``."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, bytes):
        try:
            return value.decode().strip()
        except UnicodeDecodeError:
            raise RowError(f"{value[:20]!r} is not UTF-8 text") from None
    return str(value)


def as_texts(value: Value) -> list[str]:
    """A cell as several texts: a list of Parquet, or a text with commas or vertical bars between."""
    parts = value if isinstance(value, (list, tuple)) else _BETWEEN.split("" if value is None else as_text(value))
    return [text for part in parts if not is_empty(part) and (text := as_text(part))]


def as_number(name: str, value: Value) -> float:
    """A cell as a finite number; raises ``RowError``."""
    try:
        number = float(value) if isinstance(value, (int, float, Decimal)) else float(as_text(value))
    except ValueError:
        raise RowError(f"{name} is {as_text(value)[:40]!r}; give a number") from None
    if not math.isfinite(number):
        raise RowError(f"{name} is {number}; give a finite number")
    return number


_TRUE = {"true", "t", "yes", "y", "1"}
_FALSE = {"false", "f", "no", "n", "0"}


def as_truth(name: str, value: Value) -> bool:
    """A cell as true or false; raises ``RowError``."""
    word = as_text(value).lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise RowError(f"{name} is {word[:40]!r}; give true or false")


_UNIT_MS = {"ms": 1.0, "s": 1000.0}


def as_time_ms(name: str, value: Value, unit: str) -> int:
    """A cell as milliseconds since the Unix epoch; ``unit`` is ms, s or iso. Raises ``RowError``."""
    if isinstance(value, datetime):
        return _datetime_ms(value)
    if isinstance(value, date):
        return _datetime_ms(datetime(value.year, value.month, value.day, tzinfo=UTC))
    if unit == "iso":
        try:
            return _datetime_ms(datetime.fromisoformat(as_text(value)))
        except ValueError:
            raise RowError(f"{name} is {as_text(value)[:40]!r}; give an ISO 8601 date and time") from None
    text = as_text(value)
    if unit == "ms" and (text.isdecimal() and text.isascii()):
        return _checked_ms(name, int(text) if len(text) < 20 else 2**63)
    return _checked_ms(name, round(as_number(name, value) * _UNIT_MS[unit]))


def _checked_ms(name: str, at_ms: int) -> int:
    if not 0 <= at_ms < 2**63:
        raise RowError(f"{name} is {at_ms}; give milliseconds since 1970")
    return at_ms


def _datetime_ms(at: datetime) -> int:
    aware = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1000)
