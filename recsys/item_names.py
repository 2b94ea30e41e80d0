"""Ids of products by number, so that what names them often takes 2 or 4 bytes for each instead of 8."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

_NARROW = 2**16 - 1


class ItemNames:
    """Each id once; a number that was freed is given again. Finding a number does not give one."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        """The ids by number; what is at a free number means nothing."""
        self._numbers: dict[str, int] = {}
        self._free: list[int] = []

    def __len__(self) -> int:
        return len(self._numbers)

    def assign(self, item_id: str) -> int:
        """The number of an id, a new one where it has none yet."""
        number = self._numbers.get(item_id)
        if number is None:
            number = self._free.pop() if self._free else len(self.ids)
            if number == len(self.ids):
                self.ids.append(item_id)
            else:
                self.ids[number] = item_id
            self._numbers[item_id] = number
        return number

    def find(self, item_id: str) -> int | None:
        """The number of an id, None where it has none."""
        return self._numbers.get(item_id)

    def shared(self, item_id: str) -> str:
        """The same id, as the one object that is held here, if it is."""
        number = self._numbers.get(item_id)
        return item_id if number is None else self.ids[number]

    def free(self, number: int) -> None:
        """Let go of an id that nothing names any more."""
        del self._numbers[self.ids[number]]
        self.ids[number] = ""
        self._free.append(number)


def numbers_of(values: Sequence[int]) -> array[int]:
    """A column of numbers, 2 bytes each where they fit; putting in one that does not is an ``OverflowError``."""
    return array("H" if max(values, default=0) <= _NARROW else "I", values)
