"""The co-occurrence rows of one shard, and which of them hold a product as a companion."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from recsys.item_row import ItemRow, RowRules
from schemas.events import CoVisits, ItemState


class _Holders(NamedTuple):
    """A companion's id, the one object that all rows share, and the slots of the rows that hold it."""

    companion_id: str
    slots: array[int]


class ItemRows:
    """Rows by product, with an exact inverted index from companions to rows.

    Memory: a row of n companions takes about 0.9 kB + 40 n bytes (CPython 3.11), its share of the index
    included; n is below ``rules.cut_at``. A companion's id is held once, however many rows name it.
    """

    def __init__(self, rules: RowRules) -> None:
        self._rules = rules
        self._rows: dict[str, ItemRow] = {}
        self._slots: list[ItemRow | None] = []
        self._free: list[int] = []
        self._holders: dict[str, _Holders] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, product_id: str) -> bool:
        return product_id in self._rows

    def __iter__(self) -> Iterator[ItemRow]:
        return iter(self._rows.values())

    def get(self, product_id: str) -> ItemRow | None:
        """A product's row, None where there is none."""
        return self._rows.get(product_id)

    def add(self, co_visits: CoVisits) -> ItemRow:
        """Count one message in its product's row, and return the row."""
        row = self._rows.get(co_visits.product_id)
        if row is None:
            row = ItemRow(co_visits.product_id)
            self._insert(row)
        came, cut = row.add(co_visits, self._rules)
        self._index(row, came)
        if cut:
            self._unindex(row, cut)
        for companion_id in came:
            self._share_id(row, companion_id)
        return row

    def restore(self, state: ItemState) -> None:
        """Put a row as its snapshot has it, in the place of an older one.

        Raises ``ConfigurationError`` where it was kept with another half-life.
        """
        self._rules.decay.require_epoch(state.epoch, state.event_time_ms)
        row = ItemRow.of_state(state)
        older = self._rows.get(row.product_id)
        before: set[str] = set()
        if older is None:
            self._insert(row)
        else:
            before.update(older.companion_ids)
            row.slot = older.slot
            self._rows[row.product_id] = self._slots[row.slot] = row
        after = set(row.companion_ids)
        self._unindex(row, before - after)
        self._index(row, after - before)
        row.companion_ids = [self._shared_id(companion_id) for companion_id in row.companion_ids]
        row.listed_next = tuple(map(self._shared_id, row.listed_next))
        row.listed_together = tuple(map(self._shared_id, row.listed_together))

    def drop(self, product_id: str) -> ItemRow | None:
        """Forget a product's row; returns it, None where there was none."""
        row = self._rows.pop(product_id, None)
        if row is not None:
            self._unindex(row, row.companion_ids)
            self._slots[row.slot] = None
            self._free.append(row.slot)
        return row

    def holders(self, companion_id: str) -> list[ItemRow]:
        """The rows that hold a product as a companion."""
        holders = self._holders.get(companion_id)
        rows = (self._slots[slot] for slot in holders.slots) if holders is not None else ()
        return [row for row in rows if row is not None]

    def _insert(self, row: ItemRow) -> None:
        self._rows[row.product_id] = row
        if self._free:
            row.slot = self._free.pop()
            self._slots[row.slot] = row
        else:
            row.slot = len(self._slots)
            self._slots.append(row)

    def _index(self, row: ItemRow, companion_ids: Iterable[str]) -> None:
        for companion_id in companion_ids:
            holders = self._holders.get(companion_id)
            if holders is None:
                holders = self._holders[companion_id] = _Holders(companion_id, array("I"))
            holders.slots.append(row.slot)

    def _unindex(self, row: ItemRow, companion_ids: Iterable[str]) -> None:
        for companion_id in companion_ids:
            slots = self._holders[companion_id].slots
            slots.remove(row.slot)
            if not slots:
                del self._holders[companion_id]

    def _shared_id(self, companion_id: str) -> str:
        """The same id as the one object that other rows hold too."""
        holders = self._holders.get(companion_id)
        return companion_id if holders is None else holders.companion_id

    def _share_id(self, row: ItemRow, companion_id: str) -> None:
        """Let a row hold the shared object of a companion that came in, if it is still there."""
        place = bisect_left(row.companion_ids, companion_id)
        if place < len(row.companion_ids) and row.companion_ids[place] == companion_id:
            row.companion_ids[place] = self._shared_id(companion_id)
