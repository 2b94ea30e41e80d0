"""The co-occurrence rows of one shard, and which of them hold a product as a companion."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Iterator

from recsys.item_row import ItemRow, RowRules
from schemas.events import CoVisits, ItemState


class ItemRows:
    """Rows by product, with an exact inverted index from companions to rows.

    Memory: a row of n companions takes about 0.9 kB + 40 n bytes (CPython 3.11), its share of the index
    included; n is below ``rules.cut_at``. Ids are interned: each is held once, however many rows name it.
    """

    def __init__(self, rules: RowRules) -> None:
        self._rules = rules
        self._rows: dict[str, ItemRow] = {}
        self._slots: list[ItemRow | None] = []
        self._free: list[int] = []
        self._holders: dict[str, array[int]] = {}

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
        known = row is not None
        if row is None:
            row = ItemRow(sys.intern(co_visits.product_id))
        came, cut = row.add(co_visits, self._rules)
        if not known:
            self._insert(row)
        self._index(row, came)
        self._unindex(row, cut)
        return row

    def restore(self, state: ItemState) -> None:
        """Put a row as its snapshot has it, in the place of an older one.

        Raises ``ConfigurationError`` where it was kept with another half-life.
        """
        self._rules.decay.require_epoch(state.epoch, state.event_time_ms)
        row = ItemRow.of_state(state)
        older = self._rows.get(row.product_id)
        if older is None:
            self._insert(row)
            self._index(row, row.companion_ids)
            return
        before, after = set(older.companion_ids), set(row.companion_ids)
        row.slot = older.slot
        self._rows[row.product_id] = self._slots[row.slot] = row
        self._unindex(row, before - after)
        self._index(row, after - before)

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
        rows = (self._slots[slot] for slot in self._holders.get(companion_id, ()))
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
                holders = self._holders[companion_id] = array("I")
            holders.append(row.slot)

    def _unindex(self, row: ItemRow, companion_ids: Iterable[str]) -> None:
        for companion_id in companion_ids:
            holders = self._holders[companion_id]
            holders.remove(row.slot)
            if not holders:
                del self._holders[companion_id]
