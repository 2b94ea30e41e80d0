"""Rows of a CSV, TSV or Parquet file with their line numbers, one at a time, and what becomes of them."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Generic, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from producers.cells import Value, is_empty
from producers.errors import UnreadableSourceError

PARQUET_BATCH_ROWS = 4096

MAX_LINE_BYTES = 8_000_000
"""Longest line of a text file; a longer one is no table."""

_DELIMITERS = {".csv": ",;\t|", ".tsv": "\t", ".txt": "\t,;|"}
"""What may stand between the columns, by the file's ending; the header decides."""
_PARQUET = {".parquet", ".pq"}

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


@dataclass(frozen=True, slots=True)
class RawRow:
    """A row as it is in the file: the cells that are not empty, by column; ``defect`` where it is malformed."""

    line: int
    cells: Mapping[str, Value]
    defect: str | None = None


class Table:
    """A table file, read as a stream; raises ``UnreadableSourceError`` when it is none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read_fraction = 0.0
        if not path.is_file():
            raise UnreadableSourceError(f"{path} is not a file; give a .csv, .tsv or .parquet file")
        suffix = path.suffix.lower()
        self._parquet = suffix in _PARQUET
        if self._parquet:
            self.columns = self._parquet_columns()
        elif suffix in _DELIMITERS:
            self._delimiter, self.columns = self._csv_header(_DELIMITERS[suffix])
        else:
            known = ", ".join([*_DELIMITERS, *sorted(_PARQUET)])
            raise UnreadableSourceError(
                f"the ending of {path.name} says not what it holds; make it one of {known}"
            )
        _check_columns(path, self.columns)

    @property
    def read_fraction(self) -> float:
        """How much of the file the rows handed out so far are, 0 to 1."""
        return self._read_fraction

    def rows(self) -> Iterator[RawRow]:
        """Every row, malformed ones included; lines of a CSV with nothing in them are passed over."""
        return self._parquet_rows() if self._parquet else self._csv_rows()

    def _csv_header(self, delimiters: str) -> tuple[str, list[str]]:
        with self.path.open("rb") as raw:
            header = next(_Lines(raw, self.path), "")
        if not _is_utf8(header):
            raise UnreadableSourceError(f"{self.path.name} is not UTF-8 text; save it as UTF-8")
        delimiter = max(delimiters, key=header.count)
        try:
            columns = next(csv.reader([header], delimiter=delimiter, strict=True), [])
        except csv.Error as error:
            raise UnreadableSourceError(f"the header of {self.path.name} is not readable: {error}") from error
        return delimiter, [column.strip() for column in columns]

    def _csv_rows(self) -> Iterator[RawRow]:
        size_bytes = max(1, self.path.stat().st_size)
        with self.path.open("rb") as raw:
            lines = _Lines(raw, self.path)
            reader = csv.reader(lines, delimiter=self._delimiter, strict=True)
            next(reader)
            while True:
                first = lines.begin_record()
                try:
                    row = self._csv_row(first, next(reader))
                except StopIteration:
                    break
                except csv.Error as error:
                    row = RawRow(first, {}, f"is not readable as CSV: {error}")
                self._read_fraction = min(1.0, lines.read_bytes / size_bytes)
                if row.defect is not None and lines.go_back_to_second():
                    # A quote left open may have swallowed good rows.
                    row = RawRow(first, {}, f"{row.defect}; is a quote left open?")
                if row.cells or row.defect is not None:
                    yield row
        self._read_fraction = 1.0

    def _csv_row(self, line: int, values: list[str]) -> RawRow:
        cells = {column: value for column, value in zip(self.columns, values, strict=False) if value.strip()}
        if cells and len(values) != len(self.columns):
            return RawRow(line, cells, f"has {len(values)} values where the header has {len(self.columns)}")
        if not all(map(_is_utf8, values)):
            return RawRow(line, cells, "is not UTF-8 text; save the file as UTF-8")
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
        line = 0
        with self._open_parquet() as file:
            total = max(1, file.metadata.num_rows)
            batches = file.iter_batches(batch_size=PARQUET_BATCH_ROWS)
            while True:
                try:
                    batch = next(batches, None)
                    columns = [] if batch is None else [column.to_pylist() for column in batch.columns]
                except (pa.ArrowException, OSError, ValueError) as error:
                    raise UnreadableSourceError(
                        f"{self.path.name} is damaged after row {line}: {error}; the rows before it were read"
                    ) from error
                if batch is None:
                    break
                for values in zip(*columns, strict=True):
                    line += 1
                    self._read_fraction = line / total
                    cells = zip(self.columns, values, strict=True)
                    yield RawRow(line, {name: value for name, value in cells if not is_empty(value)})
        self._read_fraction = 1.0


class _Lines(Iterator[str]):
    """The lines of a text file; those of the record that is being read can be read again.

    Bytes that are not UTF-8 become lone surrogates, so that one bad row spoils no other.
    """

    def __init__(self, raw: BinaryIO, path: Path) -> None:
        self._raw = raw
        self._path = path
        self._again: deque[str] = deque()
        self._record: list[str] = []
        self._number = 0
        self.read_bytes = 0

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else self._read()
        self._number += 1
        self._record.append(line)
        return line

    def begin_record(self) -> int:
        """A record begins with the next line; its number, from 1."""
        self._record.clear()
        return self._number + 1

    def go_back_to_second(self) -> bool:
        """Read the record's lines again from its second one; False where it has only one."""
        others = self._record[1:]
        self._again.extendleft(reversed(others))
        self._number -= len(others)
        return bool(others)

    def _read(self) -> str:
        data = self._raw.readline(MAX_LINE_BYTES)
        if not data:
            raise StopIteration
        if len(data) == MAX_LINE_BYTES:
            place = f"line {self._number + 1} of {self._path.name}"
            raise UnreadableSourceError(f"{place} is longer than {MAX_LINE_BYTES:,} bytes; is it a table?")
        encoding = "utf-8-sig" if self.read_bytes == 0 else "utf-8"
        self.read_bytes += len(data)
        return data.decode(encoding, errors="surrogateescape")


def _is_utf8(text: str) -> bool:
    return text.isascii() or not any("\udc80" <= character <= "\udcff" for character in text)


def _check_columns(path: Path, columns: list[str]) -> None:
    if not any(columns):
        raise UnreadableSourceError(f"{path.name} has no header; name the columns in its first line")
    twice = sorted({column for column in columns if column and columns.count(column) > 1})
    if twice:
        raise UnreadableSourceError(f"{path.name} has the columns {', '.join(twice)} more than once")


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
            f"say which with --map {missing[0]}=COLUMN"
        )
    return found
