"""Histories at rest: packed, a row of bytes each, and opened for as long as they are worked on.

A row is little-endian, without padding: flags; the list that was last published, by numbers of products; how many
events there are; the time of the first, the revision, hashes, numbers of products, and times from one event to the
next; actions and quantities, unless all are views; the subject as text, and what else is not as usual as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import MISSING, fields
from itertools import accumulate, chain, islice, pairwise
from struct import Struct, calcsize, pack, unpack_from
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.compiled import compiled
from recsys.histories import History
from recsys.scoring.slots import ProductSlots
from recsys.sessions.ragged_rows import Integers, Lengths, RaggedRows, Starts
from recsys.sessions.subjects import SubjectNumbers
from schemas.events import Action, UserHistory

_MAX_OPEN = 4_096
_WIDE, _ACTED, _LONG_GAPS, _SHORT_GAPS = 1, 2, 4, 8
_HEAD = Struct("<BH")
_NOTHING_ELSE = UserHistory("", (), (), (), (), (), (), 0)
_OTHERS = [
    field.name
    for field in fields(UserHistory)
    if field.default_factory is not MISSING or field.default is not MISSING
]
"""What a history says besides, which most do not."""


class HistoryStore:
    """Histories by subject, as packed bytes but for those in use: a bounded number, from this batch and the last.

    A history that ``get`` gives may be changed until the next ``settle``, which is to be called when nobody holds
    one any more. Memory: 17 bytes an event and 110 a history with a list of twenty and a subject of ten letters
    (two more for each number of a product where there are more than 65,536), and the open ones.
    """

    def __init__(self, slots: ProductSlots, max_open: int = _MAX_OPEN) -> None:
        self._slots = slots
        self._max_open = max_open
        self._subjects = SubjectNumbers()
        self._rows = RaggedRows(np.uint8, room=0)
        self._open: dict[str, History] = {}
        """What is not packed, or not as it is by now, and was used since the last ``settle``."""
        self._earlier: dict[str, History] = {}
        """The same of what was used before that, and not since."""

    def __len__(self) -> int:
        """How many histories there are."""
        numbers = self._subjects.find([*self._open, *self._earlier])
        return len(self._subjects) + int((numbers < 0).sum())

    def __contains__(self, subject: str) -> bool:
        return subject in self._open or subject in self._earlier or self._row(subject) is not None

    @property
    def nbytes(self) -> int:
        """Bytes that all of it takes."""
        packed = self._subjects.nbytes + self._rows.nbytes + self._open.__sizeof__() + self._earlier.__sizeof__()
        unpacked = chain(self._open.items(), self._earlier.items())
        return packed + sum(history.nbytes + subject.__sizeof__() for subject, history in unpacked)

    def get(self, subject: str) -> History | None:
        """A subject's history, None where there is none; what is changed in it stays changed."""
        history = self._open.get(subject)
        if history is not None:
            return history
        history = self._earlier.pop(subject, None)
        if history is None:
            row = self._row(subject)
            if row is None:
                return None
            history = History.of_state(unpack_history(row, self._slots.ids))
        self._open[subject] = history
        return history

    def state(self, subject: str) -> UserHistory | None:
        """A subject's history as it is now, None where there is none; it is not opened for that."""
        for unpacked in (self._open, self._earlier):
            if subject in unpacked:
                return unpacked[subject].snapshot(subject)
        row = self._row(subject)
        return None if row is None else unpack_history(row, self._slots.ids)

    def __setitem__(self, subject: str, history: History) -> None:
        """Take a history, or another one in its place."""
        self._earlier.pop(subject, None)
        self._open[subject] = history

    def restore(self, states: Mapping[str, UserHistory]) -> None:
        """Take histories in the place of those that there may be, without opening them."""
        for subject in states:
            self._open.pop(subject, None)
            self._earlier.pop(subject, None)
        self._put_rows(list(states), [pack_history(state, self._slots) for state in states.values()])

    def __getitem__(self, subject: str) -> History:
        """A subject's history, as ``get`` gives it; raises ``KeyError`` where there is none."""
        history = self.get(subject)
        if history is None:
            raise KeyError(subject)
        return history

    def pop(self, subject: str) -> History | None:
        """Drop a history; returns it, None where there was none."""
        history = self.get(subject)
        if history is not None:
            del self._open[subject]
            number = self._subjects.find([subject])
            if number[0] >= 0:
                self._rows.put(number, np.zeros(1, np.int64), np.empty(0, np.uint8))
                self._subjects.release(number)
        return history

    def settle(self) -> None:
        """Pack histories that were used neither since the last time that anything was, nor then."""
        if not self._open:
            return
        self._pack(self._earlier)
        self._earlier, self._open = self._open, {}
        if len(self._earlier) > self._max_open:
            self._pack(dict(islice(self._earlier.items(), len(self._earlier) - self._max_open)))

    def listed(self) -> set[str]:
        """Products in any list that was published last."""
        self._pack(self._open)
        self._pack(self._earlier)
        found = np.zeros(len(self._slots), bool)
        _mark_listed(self._rows.starts, self._rows.lengths, self._rows.columns[0], found)
        return {self._slots.ids[slot] for slot in found.nonzero()[0].tolist()}

    def listing(self, product_ids: Collection[str]) -> Iterator[tuple[str, str]]:
        """Subjects whose lists published last hold any of these products, and the first that each holds."""
        self._pack(self._open)
        self._pack(self._earlier)
        wanted = np.zeros(len(self._slots), bool)
        wanted[[slot for product_id in product_ids if (slot := self._slots.get(product_id)) is not None]] = True
        rows = self._rows
        for row in _rows_listing(rows.starts, rows.lengths, rows.columns[0], wanted).tolist():
            state = unpack_history(rows.row(row)[0].tobytes(), self._slots.ids)
            yield state.subject, next(product_id for product_id in state.listed if product_id in product_ids)

    def _row(self, subject: str) -> bytes | None:
        """A subject's packed history; None where there is none."""
        number = int(self._subjects.find([subject])[0])
        return None if number < 0 else self._rows.row(number)[0].tobytes()

    def _pack(self, histories: dict[str, History]) -> None:
        """Pack these, and let go of them."""
        if not histories:
            return
        states = [history.snapshot(subject) for subject, history in histories.items()]
        self._put_rows([state.subject for state in states], [pack_history(state, self._slots) for state in states])
        for state in states:
            self._open.pop(state.subject, None)
            self._earlier.pop(state.subject, None)

    def _put_rows(self, subjects: Sequence[str], rows: Sequence[bytes]) -> None:
        numbers = self._subjects.assign(subjects)
        self._rows.reserve(self._subjects.used)
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        self._rows.put(numbers, lengths, np.frombuffer(b"".join(rows), np.uint8))


def pack_history(state: UserHistory, slots: ProductSlots) -> bytes:
    """A history as a row; products that have no number get one."""
    events, listed = len(state.product_ids), len(state.listed)
    numbers = slots.assign([*state.listed, *state.product_ids]).tolist()
    gaps = [later - earlier for earlier, later in pairwise(state.event_times_ms)]
    longest = max(gaps, default=0)
    acted = any(state.actions) or any(quantity != 1.0 for quantity in state.quantities)
    flags = _WIDE * (max(numbers, default=0) > 0xFFFF) | _ACTED * acted
    flags |= _LONG_GAPS * (longest > 0xFFFFFFFF) | _SHORT_GAPS * (longest <= 0xFFFF)
    first_ms = state.event_times_ms[0] if events else 0
    columns: list[Any] = [*numbers[:listed], events, first_ms, state.revision, *state.event_hashes]
    columns += [*numbers[listed:], *gaps]
    if acted:
        columns += [*state.actions, *state.quantities]
    text = state.subject.encode(errors="surrogatepass")
    others = {name: value for name in _OTHERS if (value := getattr(state, name)) != getattr(_NOTHING_ELSE, name)}
    head = _HEAD.pack(flags, listed) + pack(_format(flags, listed, events), *columns)
    return b"".join((head, len(text).to_bytes(2, "little"), text, json.dumps(others).encode() if others else b""))


def unpack_history(row: bytes, ids: Sequence[str]) -> UserHistory:
    """The history that a row was made of; ``ids`` are products by number."""
    flags, listed = _HEAD.unpack_from(row)
    wide = "I" if flags & _WIDE else "H"
    count_at = _HEAD.size + listed * calcsize(wide)
    events = int.from_bytes(row[count_at : count_at + 2], "little")
    layout = _format(flags, listed, events)
    values = unpack_from(layout, row, _HEAD.size)
    end = _HEAD.size + calcsize(layout)
    begin = listed + 3
    hashes, numbers = values[begin : begin + events], values[begin + events : begin + 2 * events]
    begin += 2 * events
    times = accumulate(values[begin : begin + max(events - 1, 0)], initial=values[listed + 1])
    begin += max(events - 1, 0)
    acted = bool(flags & _ACTED)
    text_end = end + 2 + int.from_bytes(row[end : end + 2], "little")
    return UserHistory(
        subject=row[end + 2 : text_end].decode(errors="surrogatepass"),
        event_hashes=hashes,
        event_times_ms=list(times)[:events],
        product_ids=[ids[number] for number in numbers],
        actions=values[begin : begin + events] if acted else (Action.VIEW.value,) * events,
        quantities=values[begin + events :] if acted else (1.0,) * events,
        listed=tuple(ids[number] for number in values[:listed]),
        revision=values[listed + 2],
        **(json.loads(row[text_end:]) if text_end < len(row) else {}),
    )


def _format(flags: int, listed: int, events: int) -> str:
    """The layout of a row between its head and the text."""
    product = "I" if flags & _WIDE else "H"
    gap = "Q" if flags & _LONG_GAPS else "H" if flags & _SHORT_GAPS else "I"
    acted = f"{events}B{events}d" if flags & _ACTED else ""
    return f"<{listed}{product}HqQ{events}q{events}{product}{max(events - 1, 0)}{gap}{acted}"


@compiled
def _listed_at(data: NDArray[np.uint8], start: int, place: int) -> int:
    """A number of the list in the row that starts there."""
    if data[start] & 1:
        at = start + 3 + 4 * place
        low, high = data[at] | np.int64(data[at + 1]) << 8, data[at + 2] | np.int64(data[at + 3]) << 8
        return low | high << 16  # type: ignore[no-any-return]
    at = start + 3 + 2 * place
    return data[at] | np.int64(data[at + 1]) << 8  # type: ignore[no-any-return]


@compiled
def _mark_listed(starts: Starts, lengths: Lengths, data: NDArray[np.uint8], found: NDArray[np.bool_]) -> None:
    """Mark the products in any list."""
    for row in range(len(lengths)):
        if lengths[row]:
            start = starts[row]
            for place in range(data[start + 1] | np.int64(data[start + 2]) << 8):
                found[_listed_at(data, start, place)] = True


@compiled
def _rows_listing(
    starts: Starts, lengths: Lengths, data: NDArray[np.uint8], wanted: NDArray[np.bool_]
) -> Integers:
    """Rows whose list holds a product that is wanted."""
    found = np.empty(len(lengths), np.int64)
    count = 0
    for row in range(len(lengths)):
        if not lengths[row]:
            continue
        start = starts[row]
        for place in range(data[start + 1] | np.int64(data[start + 2]) << 8):
            if wanted[_listed_at(data, start, place)]:
                found[count] = row
                count += 1
                break
    return found[:count]
