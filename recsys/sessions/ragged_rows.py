"""Rows of different lengths in flat columns: what a dictionary of lists holds, so that many rows are one array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Column = NDArray[Any]

_LEAST_ROOM = 2
_FIRST_ENTRIES = 1_024


class RaggedRows:
    """Row by number, each a run of entries with some room to grow; a row without room moves to the end.

    A row that moves gets a quarter more room than it needs, and columns are packed where they are full, so adding
    an entry costs O(1) on average.
    """

    def __init__(self, *dtypes: npt.DTypeLike) -> None:
        self.columns: list[Column] = [np.empty(_FIRST_ENTRIES, dtype) for dtype in dtypes]
        """The entries; which are a row's, ``places`` says."""
        self.lengths: Integers = np.zeros(0, np.int64)
        """Entries by row."""
        self._starts: Integers = np.zeros(0, np.int64)
        self._rooms: Integers = np.zeros(0, np.int64)
        self._end = 0

    def __len__(self) -> int:
        """How many rows there are, empty ones among them."""
        return len(self.lengths)

    @property
    def nbytes(self) -> int:
        """Bytes that all of it takes."""
        arrays = [*self.columns, self.lengths, self._starts, self._rooms]
        return sum(array.nbytes for array in arrays)

    def reserve(self, rows: int) -> None:
        """Have at least so many rows; new ones are empty."""
        missing = rows - len(self.lengths)
        if missing > 0:
            missing = max(missing, len(self.lengths))
            for name in ("lengths", "_starts", "_rooms"):
                setattr(self, name, np.concatenate([getattr(self, name), np.zeros(missing, np.int64)]))

    def places(self, rows: Integers, last: int | None = None) -> tuple[Integers, Integers]:
        """Where the rows' entries are in the columns, row after row, and how many each has.

        ``last`` limits each row to that many of its last entries.
        """
        counts = self.lengths[rows] if last is None else np.minimum(self.lengths[rows], last)
        begins = self._starts[rows] + self.lengths[rows] - counts
        return runs(begins, counts), counts

    def row(self, number: int) -> list[Column]:
        """Views of a row's entries, a column each."""
        start = int(self._starts[number])
        part = slice(start, start + int(self.lengths[number]))
        return [column[part] for column in self.columns]

    def put(self, rows: Integers, counts: Integers, *columns: Column) -> None:
        """Replace the entries of these rows, each of them once."""
        self.lengths[rows] = 0
        self.extend(rows, counts, *columns)

    def extend(self, rows: Integers, counts: Integers, *columns: Column) -> None:
        """Add entries at the end of these rows, each of them once."""
        self._make_room(rows, self.lengths[rows] + counts)
        places = runs(self._starts[rows] + self.lengths[rows], counts)
        for column, values in zip(self.columns, columns, strict=True):
            column[places] = values
        self.lengths[rows] += counts

    def insert(self, row: int, place: int, values: Sequence[Any]) -> None:
        """Put one entry before the one at ``place`` of a row."""
        length = int(self.lengths[row])
        self._make_room(np.array([row]), np.array([length + 1]))
        start = int(self._starts[row])
        at, end = start + place, start + length
        for column, value in zip(self.columns, values, strict=True):
            column[at + 1 : end + 1] = column[at:end]
            column[at] = value
        self.lengths[row] = length + 1

    def remove(self, row: int, place: int) -> None:
        """Take one entry out of a row."""
        start, length = int(self._starts[row]), int(self.lengths[row])
        at, end = start + place, start + length
        for column in self.columns:
            column[at : end - 1] = column[at + 1 : end]
        self.lengths[row] = length - 1

    def keep(self, rows: Integers, kept: NDArray[np.bool_]) -> None:
        """Of all entries of these rows, row after row, keep those that are marked."""
        places, counts = self.places(rows)
        ends = np.cumsum(counts)
        total = np.concatenate([[0], np.cumsum(kept)])
        columns = [column[places[kept]] for column in self.columns]
        self.put(rows, total[ends] - total[ends - counts], *columns)

    def _make_room(self, rows: Integers, needed: Integers) -> None:
        short = needed > self._rooms[rows]
        if not short.any():
            return
        wanted = needed + needed // 4 + _LEAST_ROOM
        if self._end + int(wanted[short].sum()) > len(self.columns[0]):
            self._pack(int(wanted.sum()))
            short = needed > self._rooms[rows]  # what was room to grow may be gone
        moving, rooms = rows[short], wanted[short]
        old, counts = self.places(moving)
        self._starts[moving] = self._end + np.cumsum(rooms) - rooms
        self._rooms[moving] = rooms
        self._end += int(rooms.sum())
        new = runs(self._starts[moving], counts)
        for column in self.columns:
            column[new] = column[old]

    def _pack(self, extra: int) -> None:
        """Close the gaps, and have room for ``extra`` entries at the end, and as much again."""
        rows = np.flatnonzero(self.lengths)
        old, counts = self.places(rows)
        rooms = counts + counts // 4
        starts = np.cumsum(rooms) - rooms
        end = int(rooms.sum())
        self._rooms[:] = 0
        self._starts[rows], self._rooms[rows], self._end = starts, rooms, end
        new = runs(starts, counts)
        for number, column in enumerate(self.columns):
            packed = np.empty(end + extra + max(_FIRST_ENTRIES, (end + extra) // 4), column.dtype)
            packed[new] = column[old]
            self.columns[number] = packed


def runs(begins: Integers, counts: Integers) -> Integers:
    """Consecutive numbers from each beginning on, as many as its count, one run after the other."""
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    return np.repeat(begins - (ends - counts), counts) + np.arange(total)
