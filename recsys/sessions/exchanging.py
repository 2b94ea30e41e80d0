"""How items' rows of sessions follow the sessions' rows of visits, entry by entry.

An item's row holds session numbers in order of the visits to the item, by time and at equal times by the hash of
the subject. The times stand in the sessions' rows alone, where they are looked up.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recsys.compiled import compiled
from recsys.sessions.ragged_rows import Column, Integers, Lengths, Starts
from recsys.sessions.subjects import Hashes

Mask = NDArray[np.bool_]
Numbers = NDArray[np.int32]
Seconds = NDArray[np.uint32]


class VisitRows(NamedTuple):
    """Sessions' rows of visits, as they are kept."""

    starts: Starts
    lengths: Lengths
    items: Column
    times_s: Seconds
    hashes: Hashes
    """Of the subject, by session."""


class ItemRows(NamedTuple):
    """Items' rows of sessions, as they are kept."""

    starts: Starts
    lengths: Lengths
    sessions: Numbers


@compiled
def time_place(visits: VisitRows, session: int, item: int) -> int:
    """Where a session's visit to an item stands; it has to be there."""
    place = visits.starts[session]
    while visits.items[place] != item:
        place += 1
    return place  # type: ignore[no-any-return]


@compiled
def _comes_before(visits: VisitRows, one: int, other: int, item: int) -> bool:
    """True where one session visited the item before the other did."""
    own = visits.times_s[time_place(visits, one, item)]
    others = visits.times_s[time_place(visits, other, item)]
    if own != others:
        return own < others  # type: ignore[no-any-return]
    return visits.hashes[one] < visits.hashes[other]  # type: ignore[no-any-return]


@compiled
def _place_in_row(visits: VisitRows, rows: ItemRows, item: int, session: int) -> int:
    """Where a session stands, or would stand, in an item's row, counted from its beginning."""
    start, low, high = rows.starts[item], 0, rows.lengths[item]
    if high and _comes_before(visits, rows.sessions[start + high - 1], session, item):
        return high  # type: ignore[no-any-return]
    while low < high:
        middle = (low + high) // 2
        if _comes_before(visits, rows.sessions[start + middle], session, item):
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def differences(
    counts: tuple[Integers, Integers],
    items: tuple[Numbers, Numbers],
    codes: tuple[Integers, Integers],
    table: Numbers,
) -> tuple[Mask, Mask]:
    """Which of the old and which of the new visits of some sessions the other ones do not have.

    ``counts`` are visits by session, ``codes`` what else has to be equal. ``table`` has a place for every item.
    """
    gone, came = np.ones(len(items[0]), np.bool_), np.ones(len(items[1]), np.bool_)
    first, second = 0, 0
    for session in range(len(counts[0])):
        for place in range(first, first + counts[0][session]):
            table[items[0][place]] = place
        for place in range(second, second + counts[1][session]):
            old = table[items[1][place]]
            if first <= old < first + counts[0][session] and items[0][old] == items[1][place]:
                gone[old] = came[place] = codes[0][old] != codes[1][place]
        first += counts[0][session]
        second += counts[1][session]
    return gone, came


@compiled
def remove_visits(visits: VisitRows, rows: ItemRows, sessions: Integers, items: Numbers) -> None:
    """Take sessions out of items' rows; their own rows still hold the visits."""
    for number in range(len(sessions)):
        item = items[number]
        place = rows.starts[item] + _place_in_row(visits, rows, item, sessions[number])
        end = rows.starts[item] + rows.lengths[item] - 1
        while place < end:
            rows.sessions[place] = rows.sessions[place + 1]
            place += 1
        rows.lengths[item] -= 1


@compiled
def insert_visits(visits: VisitRows, rows: ItemRows, sessions: Integers, items: Numbers) -> None:
    """Put sessions into items' rows, which have room; their own rows hold the visits already."""
    for number in range(len(sessions)):
        item = items[number]
        place = rows.starts[item] + _place_in_row(visits, rows, item, sessions[number])
        end = rows.starts[item] + rows.lengths[item]
        while end > place:
            rows.sessions[end] = rows.sessions[end - 1]
            end -= 1
        rows.sessions[place] = sessions[number]
        rows.lengths[item] += 1


@compiled
def visit_places(visits: VisitRows, sessions: Numbers, items: Integers) -> Integers:
    """Where these sessions' visits to these items stand."""
    places = np.empty(len(sessions), np.int64)
    for number in range(len(sessions)):
        places[number] = time_place(visits, sessions[number], items[number])
    return places
