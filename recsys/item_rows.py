"""The co-occurrence rows of one shard, and which of them hold a product as a companion."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator

from recsys.item_names import ItemNames, numbers_of
from recsys.item_row import ItemRow, RowRules
from schemas.events import CoVisits, ItemState


class ItemRows:
    """Rows by product, with an exact inverted index from companions to rows.

    Memory: ``nbytes``; about 0.6 kB and 20 bytes a companion (CPython 3.11), 8 more where anything was bought with
    one of them. There are fewer companions than ``rules.cut_at``. An id is held once, however many rows name it.
    """

    def __init__(self, rules: RowRules) -> None:
        self._rules = rules
        self._names = ItemNames()
        self._rows: dict[str, ItemRow] = {}
        self._slots: list[ItemRow | None] = []
        self._free: list[int] = []
        self._holders: list[array[int]] = []
        """By number of a companion, the slots of the rows that hold it."""

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, product_id: str) -> bool:
        return product_id in self._rows

    def __iter__(self) -> Iterator[ItemRow]:
        return iter(self._rows.values())

    def get(self, product_id: str) -> ItemRow | None:
        """A product's row, None where there is none."""
        return self._rows.get(product_id)

    @property
    def nbytes(self) -> int:
        """Bytes of the rows and the index of their companions, but for the ids."""
        return sum(row.nbytes for row in self) + sum(slots.__sizeof__() for slots in self._holders)

    def add(self, co_visits: CoVisits) -> ItemRow:
        """Count one message in its product's row, and return the row."""
        row = self._rows.get(co_visits.product_id)
        if row is None:
            row = ItemRow(co_visits.product_id, self._names)
            self._insert(row)
        came, went = row.add(co_visits, self._rules)
        self._index(row, came)
        self._unindex(row, went)
        return row

    def restore(self, state: ItemState) -> None:
        """Put a row as its snapshot has it, in the place of an older one.

        Raises ``ConfigurationError`` where it was kept with another half-life.
        """
        self._rules.decay.require_epoch(state.epoch, state.event_time_ms)
        row = ItemRow.of_state(state, self._names)
        older = self._rows.get(row.product_id)
        before: set[int] = set()
        if older is None:
            self._insert(row)
        else:
            before.update(older.companions)
            row.slot = older.slot
            self._rows[row.product_id] = self._slots[row.slot] = row
        after = set(row.companions)
        self._unindex(row, before - after)
        self._index(row, after - before)
        row.listed_next = tuple(map(self._names.shared, row.listed_next))
        row.listed_together = tuple(map(self._names.shared, row.listed_together))

    def drop(self, product_id: str) -> ItemRow | None:
        """Forget a product's row; returns it, None where there was none."""
        row = self._rows.pop(product_id, None)
        if row is not None:
            self._unindex(row, row.companions)
            self._slots[row.slot] = None
            self._free.append(row.slot)
        return row

    def holders(self, companion_id: str) -> list[ItemRow]:
        """The rows that hold a product as a companion."""
        number = self._names.find(companion_id)
        rows = () if number is None else (self._slots[slot] for slot in self._holders[number])
        return [row for row in rows if row is not None]

    def _insert(self, row: ItemRow) -> None:
        self._rows[row.product_id] = row
        if self._free:
            row.slot = self._free.pop()
            self._slots[row.slot] = row
        else:
            row.slot = len(self._slots)
            self._slots.append(row)

    def _index(self, row: ItemRow, companions: Iterable[int]) -> None:
        holders, slot = self._holders, row.slot
        for number in companions:
            while number >= len(holders):
                holders.append(numbers_of(()))
            try:
                holders[number].append(slot)
            except OverflowError:
                holders[number] = array("I", holders[number])
                holders[number].append(slot)

    def _unindex(self, row: ItemRow, companions: Iterable[int]) -> None:
        for number in companions:
            slots = self._holders[number]
            slots.remove(row.slot)
            if not slots:
                self._names.free(number)
