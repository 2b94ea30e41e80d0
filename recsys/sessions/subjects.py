"""Numbers for subjects, such as shoppers: what a dictionary of strings would do, in a seventh of its memory."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from recsys.compiled import compiled

Hashes = NDArray[np.uint64]
Places = NDArray[np.int32]
Integers = NDArray[np.int64]

_NOBODY = -1
_LEAST = 16


def subject_hash(subject: str) -> int:
    """The 64 bits that stand for a subject: among a million of them two are the same once in 37 million times."""
    return int.from_bytes(blake2b(subject.encode(errors="surrogatepass"), digest_size=8).digest(), "little")


def subject_hashes(subjects: Sequence[str]) -> Hashes:
    """``subject_hash`` of each."""
    digests = (blake2b(subject.encode(errors="surrogatepass"), digest_size=8).digest() for subject in subjects)
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64, copy=False)


class SubjectNumbers:
    """Gives each subject a number, one that is free again first; knows subjects by their hashes alone.

    Memory: 8 bytes a number and 5 to 7 a subject (a table with open addressing, up to four fifths full).
    """

    def __init__(self) -> None:
        self.hashes: Hashes = np.zeros(0, np.uint64)
        """By number; what stands at a number that is free means nothing."""
        self._table: Places = np.full(_LEAST, _NOBODY, np.int32)
        self._free = array("i")
        self._used = 0
        """Numbers that were ever given."""

    def __len__(self) -> int:
        """How many subjects there are."""
        return self._used - len(self._free)

    @property
    def used(self) -> int:
        """More than every number that a subject has."""
        return self._used

    @property
    def nbytes(self) -> int:
        """Bytes that all of it takes."""
        return self.hashes.nbytes + self._table.nbytes + self._free.__sizeof__()

    def find(self, subjects: Sequence[str]) -> Integers:
        """The subjects' numbers, -1 for one that there is not."""
        return _find(self._table, self.hashes, subject_hashes(subjects))

    def assign(self, subjects: Sequence[str]) -> Integers:
        """The subjects' numbers, new ones for those that have none; each subject once."""
        wanted = subject_hashes(subjects)
        numbers = _find(self._table, self.hashes, wanted)
        new = np.flatnonzero(numbers == _NOBODY)
        if len(new):
            taken = [self._free.pop() for _ in range(min(len(new), len(self._free)))]
            fresh = len(new) - len(taken)
            numbers[new] = [*taken, *range(self._used, self._used + fresh)]
            self._used += fresh
            self._reserve()
            self.hashes[numbers[new]] = wanted[new]
            _insert(self._table, self.hashes, numbers[new])
        return numbers

    def release(self, numbers: Integers) -> None:
        """Drop subjects by their numbers, which are free from now on."""
        _remove(self._table, self.hashes, numbers)
        self.hashes[numbers] = 0
        self._free.extend(numbers.tolist())

    def _reserve(self) -> None:
        missing = self._used - len(self.hashes)
        if missing > 0:
            missing = max(missing, len(self.hashes) // 8, _LEAST)
            self.hashes = np.concatenate([self.hashes, np.zeros(missing, np.uint64)])
        if 5 * len(self) > 4 * len(self._table):
            present = self._table[self._table != _NOBODY].astype(np.int64)
            self._table = np.full(max(len(self) * 3 // 2, _LEAST), _NOBODY, np.int32)
            _insert(self._table, self.hashes, present)


@compiled
def _home(a_hash: np.uint64, size: int) -> int:
    """Where a subject would stand were it alone: the upper half of the hash, scaled to the table."""
    return np.int64(((a_hash >> np.uint64(32)) * np.uint64(size)) >> np.uint64(32))  # type: ignore[return-value]


@compiled
def _find(table: Places, hashes: Hashes, wanted: Hashes) -> Integers:
    size = len(table)
    numbers = np.full(len(wanted), -1, np.int64)
    for place in range(len(wanted)):
        at = _home(wanted[place], size)
        while table[at] >= 0:
            if hashes[table[at]] == wanted[place]:
                numbers[place] = table[at]
                break
            at = at + 1 if at + 1 < size else 0
    return numbers


@compiled
def _insert(table: Places, hashes: Hashes, numbers: Integers) -> None:
    """Enter numbers that are not there yet; there has to be room."""
    size = len(table)
    for number in numbers:
        at = _home(hashes[number], size)
        while table[at] >= 0:
            at = at + 1 if at + 1 < size else 0
        table[at] = number


@compiled
def _remove(table: Places, hashes: Hashes, numbers: Integers) -> None:
    """Take numbers out that are there; what stands behind each moves up, so that it is found."""
    size = len(table)
    for number in numbers:
        gap = _home(hashes[number], size)
        while table[gap] != number:
            gap = gap + 1 if gap + 1 < size else 0
        at = gap
        while True:
            at = at + 1 if at + 1 < size else 0
            if table[at] < 0:
                break
            home = _home(hashes[table[at]], size)
            if (at - home) % size >= (at - gap) % size:
                table[gap] = table[at]
                gap = at
        table[gap] = -1
