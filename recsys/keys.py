"""Distinct numbers of a bounded range by way of a table, which is quicker than sorting them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.int64]
Places = NDArray[np.int64]
Floats = NDArray[np.float64]


class KeyTable:
    """A table with a place for every key; what is left in it from before never matters. 8 bytes a key."""

    def __init__(self) -> None:
        self._table: Places = np.zeros(0, np.int64)

    def number(self, keys: Keys) -> tuple[Keys, Places]:
        """Every key once, and where each key stands among those."""
        table = self._for(keys)
        order = np.arange(len(keys))
        table[keys] = order
        each = keys[table[keys] == order]
        table[each] = order[: len(each)]
        return each, table[keys]

    def find(self, wanted: Keys, among: Keys) -> Places:
        """Where each wanted key stands among others (each once); -1 for one that does not."""
        table = self._for(wanted, among)
        table[wanted] = -1
        table[among] = np.arange(len(among))
        return table[wanted]

    def _for(self, *keys: Keys) -> Places:
        largest = max(int(some.max(initial=-1)) for some in keys)
        if largest >= len(self._table):
            self._table = np.zeros(largest + 1, np.int64)
        return self._table


def sums_by_group(owners: NDArray[np.int64], values: Floats, groups: int) -> Floats:
    """The sum of each owner's values, added up in the order that they come."""
    return np.bincount(owners, values, groups).astype(np.float64, copy=False)


def places_in_group(owners: NDArray[np.int64], groups: int) -> Places:
    """The place of each element among those of its owner, in the order that they come."""
    counts = np.bincount(owners, minlength=groups)
    # Sixteen bits are sorted by radix.
    order = np.argsort(owners.astype(np.uint16) if groups <= 1 << 16 else owners, kind="stable")
    places = np.empty(len(owners), np.int64)
    places[order] = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
    return places
