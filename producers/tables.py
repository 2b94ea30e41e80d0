"""Rows of a CSV, TSV or Parquet file with their line numbers, one at a time, and what becomes of them."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Generic, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from producers.errors import UnreadableSourceError
from schemas.errors import ContractError

PARQUET_BATCH_ROWS = 4096
_DELIMITERS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
_PARQUET = {".parquet", ".pq"}

Value = object
"""A cell: text from CSV, any of Arrow's scalars as Python has them from Parquet, None where it is empty."""

Event = TypeVar("Event", covariant=True)


@dataclass(frozen=True, slots=True)
class AcceptedRow(Generic[Event]):
    """A row and the event that it became. ``line`` counts from 1; in a CSV the header is line 1."""

    line: int
    event: Event


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that became nothing, and why."""

    line: int
    reason: str


class RowError(ContractError):
    """A row cannot become an event; the message says which column and what is accepted."""


@dataclass(frozen=True, slots=True)
class RawRow:
    """A row as it is in the file: the cells that are not empty, by column; ``defect`` where it is malformed."""

    line: int
    cells: Mapping[str, Value]
    defect: str | None = None


class Table:
    """A table file, read as a stream; raises ``UnreadableSourceError`` when it is none."""

    def __init__(self, path: Path, *, delimiter: str | None = None) -> None:
        self.path = path
        self._read_fraction = 0.0
        if not path.is_file():
            raise UnreadableSourceError(f"{path} is not a file; give a .csv, .tsv or .parquet file")
        self._parquet = path.suffix.lower() in _PARQUET
        if not self._parquet and delimiter is None and path.suffix.lower() not in _DELIMITERS:
            raise UnreadableSourceError(
                f"{path.name} ends neither in {', '.join(_DELIMITERS)} nor in {', '.join(sorted(_PARQUET))}"
            )
        self._delimiter = delimiter or _DELIMITERS.get(path.suffix.lower(), ",")
        self.columns = self._parquet_columns() if self._parquet else self._csv_columns()

    @property
    def read_fraction(self) -> float:
        """How much of the file the rows handed out so far are, 0 to 1."""
        return self._read_fraction

    def rows(self) -> Iterator[RawRow]:
        """Every row, malformed ones included; empty lines of a CSV are passed over."""
        return self._parquet_rows() if self._parquet else self._csv_rows()

    def _csv_columns(self) -> list[str]:
        try:
            with self.path.open(newline="", encoding="utf-8-sig") as lines:
                columns = next(csv.reader(lines, delimiter=self._delimiter), [])
        except (csv.Error, UnicodeDecodeError) as error:
            raise UnreadableSourceError(f"the header of {self.path.name} is not UTF-8 text: {error}") from error
        columns = [column.strip() for column in columns]
        if not any(columns):
            raise UnreadableSourceError(f"{self.path.name} has no header line; name the columns in line 1")
        twice = sorted({column for column in columns if columns.count(column) > 1})
        if twice:
            raise UnreadableSourceError(f"{self.path.name} has the columns {', '.join(twice)} more than once")
        return columns

    def _csv_rows(self) -> Iterator[RawRow]:
        size_bytes = max(1, self.path.stat().st_size)
        with self.path.open("rb") as raw:
            read_bytes = 0

            def text_lines() -> Iterator[str]:
                nonlocal read_bytes
                for number, line in enumerate(raw):
                    read_bytes += len(line)
                    yield line.decode("utf-8-sig" if number == 0 else "utf-8", errors="surrogateescape")

            reader = csv.reader(text_lines(), delimiter=self._delimiter)
            next(reader)
            while True:
                line = reader.line_num + 1
                try:
                    values = next(reader)
                except StopIteration:
                    break
                except csv.Error as error:
                    yield RawRow(line, {}, f"not readable as CSV: {error}")
                    continue
                self._read_fraction = min(1.0, read_bytes / size_bytes)
                if values:
                    yield self._csv_row(line, values)
        self._read_fraction = 1.0

    def _csv_row(self, line: int, values: list[str]) -> RawRow:
        columns = self.columns
        cells = {column: value for column, value in zip(columns, values, strict=False) if value}
        if len(values) != len(columns):
            return RawRow(line, cells, f"has {len(values)} values where the header has {len(columns)}")
        if any(
            "\udc80" <= character <= "\udcff" for value in values if not value.isascii() for character in value
        ):
            return RawRow(line, cells, "is not UTF-8 text")
        return RawRow(line, cells)

    def _open_parquet(self) -> pq.ParquetFile:
        try:
            return pq.ParquetFile(self.path)
        except (pa.ArrowException, OSError) as error:
            raise UnreadableSourceError(f"{self.path.name} is not a Parquet file: {error}") from error

    def _parquet_columns(self) -> list[str]:
        with self._open_parquet() as file:
            return [str(name) for name in file.schema_arrow.names]

    def _parquet_rows(self) -> Iterator[RawRow]:
        with self._open_parquet() as file:
            total = max(1, file.metadata.num_rows)
            line = 0
            for batch in file.iter_batches(batch_size=PARQUET_BATCH_ROWS):
                for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    line += 1
                    self._read_fraction = line / total
                    cells = zip(self.columns, values, strict=True)
                    yield RawRow(line, {name: value for name, value in cells if value is not None and value != ""})
        self._read_fraction = 1.0


def parse_mapping(text: str) -> dict[str, str]:
    """``field=column,field=column`` as a mapping; raises ``UnreadableSourceError`` for anything else."""
    mapping: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, column = (piece.strip() for piece in part.partition("="))
        if not (name and equals and column):
            raise UnreadableSourceError(f"the mapping {part!r} is not field=column")
        if name in mapping:
            raise UnreadableSourceError(f"the mapping names the field {name} twice")
        mapping[name] = column
    return mapping


def resolve_columns(
    table: Table, mapping: Mapping[str, str], aliases: Mapping[str, tuple[str, ...]], required: tuple[str, ...]
) -> dict[str, str]:
    """Which column holds each field: the one that the mapping names, else the first alias that is there.

    Raises ``UnreadableSourceError`` for an unknown field, an absent column, or a required field without one.
    """
    unknown = sorted(set(mapping) - set(aliases))
    if unknown:
        raise UnreadableSourceError(f"no such field: {', '.join(unknown)}; the fields are {', '.join(aliases)}")
    absent = sorted(set(mapping.values()) - set(table.columns))
    if absent:
        raise UnreadableSourceError(
            f"{table.path.name} has no column {', '.join(absent)}; it has {', '.join(table.columns)}"
        )
    found = dict(mapping)
    taken = set(mapping.values())
    for name, names in aliases.items():
        column = next((c for c in names if c in table.columns and c not in taken), None)
        if name not in found and column is not None:
            found[name] = column
            taken.add(column)
    missing = [name for name in required if name not in found]
    if missing:
        raise UnreadableSourceError(
            f"{table.path.name} has no column for {', '.join(missing)}; it has {', '.join(table.columns)}: "
            f"say which, for example --map {missing[0]}={table.columns[0]}"
        )
    return found


def as_text(value: Value) -> str:
    """A cell as text; a whole number that Parquet holds as a float loses its ``.0``."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, bytes):
        return value.decode(errors="replace").strip()
    return str(value)


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
