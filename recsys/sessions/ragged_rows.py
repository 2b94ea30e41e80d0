"""Rows of different lengths in flat columns: what a dictionary of lists holds, so that many rows are one array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

from recsys.compiled import compiled

Integers = NDArray[np.int64]
Lengths = NDArray[np.int32]
Starts = NDArray[np.uint32 | np.int64]
Column = NDArray[Any]

_FIRST_ENTRIES = 256
_SPARE = 16
"""One part in so many of the columns, and of the rows, is spare."""


class RaggedRows:
    """Row by number, each a run of entries; a row without room for more moves to the end.

    A row that moves gets one part in ``room`` more than it needs (none where that is 0), and columns are packed
    where they are full, so adding an entry costs O(1) on average where rows have room, and O(entries of the row)
    where not. Memory: a sixteenth more than the entries with their room, and 12 bytes a row.
    """

    def __init__(self, *dtypes: npt.DTypeLike, room: int = 4) -> None:
        self.columns: list[Column] = [np.empty(_FIRST_ENTRIES, dtype) for dtype in dtypes]
        """The entries; which are a row's, ``places`` says."""
        self.lengths: Lengths = np.zeros(0, np.int32)
        """Entries by row."""
        self.starts: Starts = np.zeros(0, np.uint32)
        """Where each row begins; wider once there are so many entries."""
        self._rooms: Lengths = np.zeros(0, np.int32)
        self._room = room
        self._end = 0

    def __len__(self) -> int:
        """How many rows there are, empty ones among them."""
        return len(self.lengths)

    @property
    def nbytes(self) -> int:
        """Bytes that all of it takes."""
        arrays = [*self.columns, self.lengths, self.starts, self._rooms]
        return sum(array.nbytes for array in arrays)

    def reserve(self, rows: int) -> None:
        """Have at least so many rows; new ones are empty."""
        missing = rows - len(self.lengths)
        if missing > 0:
            missing = max(missing, len(self.lengths) // _SPARE, _SPARE)
            self.starts = np.concatenate([self.starts, np.zeros(missing, self.starts.dtype)])
            none = np.zeros(missing, np.int32)
            self.lengths, self._rooms = (np.concatenate([old, none]) for old in (self.lengths, self._rooms))

    def widen(self, column: int, dtype: npt.DTypeLike) -> None:
        """Let a column hold larger numbers."""
        self.columns[column] = self.columns[column].astype(dtype)

    def places(self, rows: Integers, last: int | None = None) -> tuple[Integers, Integers]:
        """Where the rows' entries are in the columns, row after row, and how many each has.

        ``last`` limits each row to that many of its last entries.
        """
        lengths = self.lengths[rows].astype(np.int64)
        counts = lengths if last is None else np.minimum(lengths, last)
        return runs(self.starts[rows] + lengths - counts, counts), counts

    def row(self, number: int) -> list[Column]:
        """Views of a row's entries, a column each."""
        start = int(self.starts[number])
        part = slice(start, start + int(self.lengths[number]))
        return [column[part] for column in self.columns]

    def put(self, rows: Integers, counts: Integers, *columns: Column) -> None:
        """Replace the entries of these rows, each of them once."""
        self.lengths[rows] = 0
        self.make_room(rows, counts)
        self._append(rows, counts, columns)

    def extend(self, rows: Integers, counts: Integers, *columns: Column) -> None:
        """Add entries at the end of these rows, each of them once."""
        self.make_room(rows, self.lengths[rows] + counts)
        self._append(rows, counts, columns)

    def keep(self, rows: Integers, kept: NDArray[np.bool_]) -> None:
        """Of all entries of these rows, row after row, keep those that are marked."""
        places, counts = self.places(rows)
        ends = np.cumsum(counts)
        total = np.concatenate([[0], np.cumsum(kept)])
        columns = [column[places[kept]] for column in self.columns]
        self.put(rows, total[ends] - total[ends - counts], *columns)

    def make_room(self, rows: Integers, needed: Integers) -> None:
        """Let these rows, each of them once, have room for so many entries."""
        short = needed > self._rooms[rows]
        if not short.any():
            return
        wanted = needed + needed // self._room + 1 if self._room else needed
        if self._end + int(wanted[short].sum()) > len(self.columns[0]):
            self._pack(rows, int(wanted.sum()))
        else:
            rows, wanted = rows[short], wanted[short]
        starts = self._end + np.cumsum(wanted) - wanted
        for column in self.columns:
            _copy_rows(_bits(column), self.starts[rows], _bits(column), starts, self.lengths[rows])
        self.starts[rows], self._rooms[rows] = starts, wanted
        self._end += int(wanted.sum())

    def _append(self, rows: Integers, counts: Integers, columns: Sequence[Column]) -> None:
        places = runs(self.starts[rows] + self.lengths[rows], counts)
        for column, values in zip(self.columns, columns, strict=True):
            column[places] = values
        self.lengths[rows] += counts.astype(np.int32)

    def _pack(self, moving: Integers, extra: int) -> None:
        """Close the gaps, and have room for ``extra`` entries at the end, and for some besides.

        Rows that are ``moving`` lose the room that they had to grow.
        """
        rooms = np.where(self.lengths > 0, self._rooms, 0).astype(np.int32)
        rooms[moving] = self.lengths[moving]
        starts = np.cumsum(rooms, dtype=np.int64) - rooms
        end = int(rooms.sum(dtype=np.int64))
        capacity = end + extra + max(_FIRST_ENTRIES, (end + extra) // _SPARE)
        for number, column in enumerate(self.columns):
            packed = np.empty(capacity, column.dtype)
            _copy_rows(_bits(column), self.starts, _bits(packed), starts, self.lengths)
            self.columns[number] = packed
        self.starts = starts.astype(np.uint32 if capacity < 1 << 32 else np.int64)
        self._rooms, self._end = rooms, end


def runs(begins: Integers, counts: Integers) -> Integers:
    """Consecutive numbers from each beginning on, as many as its count, one run after the other."""
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    return np.repeat(begins - (ends - counts), counts) + np.arange(total)


def _bits(column: Column) -> Column:
    """The same as whole numbers, of which there are fewer kinds to compile for."""
    return column.view(f"u{column.itemsize}")


@compiled
def _copy_rows(source: Column, begins: Starts, target: Column, starts: Integers, lengths: Lengths) -> None:
    """Copy rows from where they begin in the source to where they start in the target."""
    for row in range(len(lengths)):
        begin, start = begins[row], starts[row]
        for place in range(lengths[row]):
            target[start + place] = source[begin + place]
