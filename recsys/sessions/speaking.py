"""What neighbours say to one query after the other, in compiled loops; ``vmis`` says what is computed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recsys.compiled import compiled
from recsys.sessions.exchanging import ItemRows, Numbers, Seconds, VisitRows
from recsys.sessions.ragged_rows import Integers

Floats = NDArray[np.float64]

_STEP = 2.0**-40
"""Sums of multiples of it are exact, so they do not depend on the order of the neighbours."""
_FIRST_FOUND = 4_096


class Tables(NamedTuple):
    """What is looked up; but for the logarithms it is zero but while a query is worked on."""

    places: Numbers
    """By session its place among those that share an item, plus one."""
    scores: Floats
    """By item."""
    logs: Floats
    """ln n by n, for small ones."""


class Limits(NamedTuple):
    """How far a query reaches, as ``VmisRules`` says."""

    recent_sessions: int
    neighbours: int
    max_items: int


class Sharing(NamedTuple):
    """Sessions that share an item with a query, with room for as many as there can be."""

    sessions: Numbers
    sums: Floats
    """Σ 1 / r over the items that they share; then their similarity."""
    ranks: Numbers
    """r of the latest item that they share."""


@compiled
def _log(logs: Floats, number: int) -> float:
    return logs[number] if number < len(logs) else np.log(number)  # type: ignore[no-any-return]


@compiled
def _share(rows: ItemRows, query: Numbers, own: int, limits: Limits, table: Numbers, found: Sharing) -> int:
    """Find the sessions that share an item with the query; returns how many there are."""
    starts, lengths, row_sessions = rows.starts, rows.lengths, rows.sessions
    sessions, sums, ranks = found.sessions, found.sums, found.ranks
    count = 0
    for rank in range(1, min(len(query), limits.max_items) + 1):
        item = query[rank - 1]
        if item < 0 or item >= len(lengths):
            continue
        end, share = starts[item] + lengths[item], 1.0 / rank
        for place in range(max(starts[item], end - limits.recent_sessions), end):
            session = row_sessions[place]
            at = table[session]
            if at:
                sums[at - 1] += share
            elif session != own:
                sessions[count], sums[count], ranks[count] = session, share, rank
                count += 1
                table[session] = count
    for place in range(count):
        table[sessions[place]] = 0
    return count


@compiled
def _greatest(values: Floats, most: int) -> float:
    """The least of the ``most`` greatest values, of which there are as many; changes their order (quickselect)."""
    low, high, wanted = 0, len(values) - 1, len(values) - most
    while low < high:
        pivot, left, right = values[(low + high) // 2], low, high
        while left <= right:
            while values[left] < pivot:
                left += 1
            while values[right] > pivot:
                right -= 1
            if left <= right:
                values[left], values[right] = values[right], values[left]
                left += 1
                right -= 1
        if wanted <= right:
            high = right
        elif wanted >= left:
            low = left
        else:
            break
    return values[wanted]  # type: ignore[no-any-return]


@compiled
def _nearest(visits: VisitRows, latest_s: Seconds, found: Sharing, count: int, most: int) -> Numbers:
    """Turn sums into similarities; returns the places of the most similar, of equals the more recent."""
    lengths, hashes, sessions, sums = visits.lengths, visits.hashes, found.sessions, found.sums
    for place in range(count):
        sums[place] /= np.sqrt(lengths[sessions[place]])
    if count <= most:
        return np.arange(count).astype(np.int32)
    least = _greatest(sums[:count].copy(), most)
    # Of equals, when they were visited last, and at equal times what is different in any order of arrival.
    ages = np.empty(count, np.float64)
    above = equal = 0
    for place in range(count):
        if sums[place] > least:
            above += 1
        elif sums[place] == least:
            session = sessions[place]
            ages[equal] = latest_s[session] + hashes[session] / 2.0**64
            equal += 1
    oldest = _greatest(ages[:equal].copy(), most - above)
    chosen = np.empty(most, np.int32)
    taken = equal = 0
    room = most - above
    for place in range(count):
        if sums[place] < least:
            continue
        if sums[place] == least:
            equal += 1
            if ages[equal - 1] < oldest or not room:
                continue
            room -= 1
        chosen[taken] = place
        taken += 1
    return chosen


@compiled
def _speak(
    visits: VisitRows, found: Sharing, nearest: Numbers, scores: Floats, into: tuple[Numbers, Floats], first: int
) -> int:
    """Add up by item what the neighbours say; their items stand from ``first`` on, some more than once.

    Returns the place after the last.
    """
    items = into[0]
    starts, lengths, visited = visits.starts, visits.lengths, visits.items
    sessions, sums, ranks = found.sessions, found.sums, found.ranks
    count = first
    for place in nearest:
        session = sessions[place]
        weight = np.rint(sums[place] / ranks[place] / _STEP) * _STEP
        for visit in range(starts[session], starts[session] + lengths[session]):
            item = visited[visit]
            scores[item] += weight
            items[count] = item
            count += 1
    return count


@compiled
def _take_scores(
    rows: ItemRows, tables: Tables, sessions: int, into: tuple[Numbers, Floats], span: tuple[int, int]
) -> int:
    """Take each item of a span once, if its score by how rare it is is above zero; returns the place after."""
    items, scores = into
    lengths, sums, logs = rows.lengths, tables.scores, tables.logs
    kept, rarest = span[0], _log(logs, sessions)
    for place in range(span[0], span[1]):
        item = items[place]
        score = sums[item] * (rarest - _log(logs, lengths[item]))
        sums[item] = 0.0
        items[kept], scores[kept] = item, score
        # Without a branch, for which way it goes cannot be foreseen.
        kept += score > 0.0
    return kept


@compiled
def _with_room(into: tuple[Numbers, Floats], count: int, more: int) -> tuple[Numbers, Floats]:
    """The same, or a copy with room for more."""
    items, scores = into
    if count + more <= len(items):
        return into
    longer, higher = np.empty(2 * (count + more), np.int32), np.empty(2 * (count + more), np.float64)
    longer[:count], higher[:count] = items[:count], scores[:count]
    return longer, higher


@compiled
def speaking(
    visits: VisitRows,
    rows: ItemRows,
    latest_s: Seconds,
    queries: tuple[Integers, Numbers, Integers],
    how: tuple[int, Limits, Tables],
) -> tuple[Integers, Numbers, Floats]:
    """For each query how many items are spoken of, then these, and their scores.

    ``queries`` are items by query, the items and who asks; ``how`` is the number of sessions, limits and tables.
    """
    counts, asked, own = queries
    sessions, limits, tables = how
    room = min(len(latest_s), limits.max_items * limits.recent_sessions)
    found = Sharing(np.empty(room, np.int32), np.empty(room, np.float64), np.empty(room, np.int32))
    into = np.empty(_FIRST_FOUND, np.int32), np.empty(_FIRST_FOUND, np.float64)
    spoken = np.zeros(len(counts), np.int64)
    start = count = 0
    for query in range(len(counts)):
        items = asked[start : start + counts[query]]
        start += counts[query]
        sharing = _share(rows, items, own[query], limits, tables.places, found)
        nearest = _nearest(visits, latest_s, found, sharing, limits.neighbours)
        more = 0
        for place in nearest:
            more += visits.lengths[found.sessions[place]]
        into = _with_room(into, count, more)
        end = _speak(visits, found, nearest, tables.scores, into, count)
        end = _take_scores(rows, tables, sessions, into, (count, end))
        spoken[query], count = end - count, end
    return spoken, into[0][:count].copy(), into[1][:count].copy()
