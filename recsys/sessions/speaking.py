"""What neighbours say to one query after the other, in compiled loops; ``vmis`` says what is computed.

Sums are looked up by session and by item in tables of whole numbers: the place in the sums, plus one, and zero
before and after every query.
"""

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
    """Places by session and by item; zeros but while a query is worked on."""

    sessions: Numbers
    items: Numbers


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
def _share(rows: ItemRows, query: Numbers, own: int, limits: Limits, table: Numbers, found: Sharing) -> int:
    """Find the sessions that share an item with the query; returns how many there are."""
    count = 0
    for rank in range(1, min(len(query), limits.max_items) + 1):
        item = query[rank - 1]
        if item < 0 or item >= len(rows.lengths):
            continue
        end = rows.starts[item] + rows.lengths[item]
        for place in range(max(rows.starts[item], end - limits.recent_sessions), end):
            session = rows.sessions[place]
            at = table[session]
            if at:
                found.sums[at - 1] += 1.0 / rank
            elif session != own:
                found.sessions[count], found.sums[count], found.ranks[count] = session, 1.0 / rank, rank
                count += 1
                table[session] = count
    for place in range(count):
        table[found.sessions[place]] = 0
    return count


@compiled
def _further(visits: VisitRows, latest_s: Seconds, found: Sharing, one: int, other: int) -> bool:
    """True where one is less similar than the other, or was longer without a visit."""
    if found.sums[one] != found.sums[other]:
        return found.sums[one] < found.sums[other]  # type: ignore[no-any-return]
    a, b = found.sessions[one], found.sessions[other]
    if latest_s[a] != latest_s[b]:
        return latest_s[a] < latest_s[b]  # type: ignore[no-any-return]
    return visits.hashes[a] < visits.hashes[b]  # type: ignore[no-any-return]


@compiled
def _sink(visits: VisitRows, latest_s: Seconds, found: Sharing, heap: Numbers, place: int) -> None:
    """Let what is on top of a part of the heap sink to where nothing below is further."""
    while 2 * place + 1 < len(heap):
        below = 2 * place + 1
        if below + 1 < len(heap) and _further(visits, latest_s, found, heap[below + 1], heap[below]):
            below += 1
        if not _further(visits, latest_s, found, heap[below], heap[place]):
            break
        heap[place], heap[below] = heap[below], heap[place]
        place = below


@compiled
def _nearest(visits: VisitRows, latest_s: Seconds, found: Sharing, count: int, most: int) -> Numbers:
    """Turn sums into similarities; returns the places of those that are most similar, in no order."""
    for place in range(count):
        found.sums[place] /= np.sqrt(visits.lengths[found.sessions[place]])
    heap = np.arange(min(count, most)).astype(np.int32)
    for place in range(len(heap) // 2 - 1, -1, -1):
        _sink(visits, latest_s, found, heap, place)
    for place in range(len(heap), count):
        if found.sums[place] >= found.sums[heap[0]] and _further(visits, latest_s, found, heap[0], place):
            heap[0] = place
            _sink(visits, latest_s, found, heap, 0)
    return heap


@compiled
def _speak(
    visits: VisitRows, found: Sharing, nearest: Numbers, table: Numbers, into: tuple[Numbers, Floats], count: int
) -> int:
    """Add what the neighbours say of their items, from place ``count`` on; returns the place after the last."""
    items, scores = into
    first = count
    for place in nearest:
        session = found.sessions[place]
        weight = np.rint(found.sums[place] / found.ranks[place] / _STEP) * _STEP
        for visit in range(visits.starts[session], visits.starts[session] + visits.lengths[session]):
            item = visits.items[visit]
            at = table[item]
            if at:
                scores[at - 1] += weight
            else:
                items[count], scores[count] = item, weight
                count += 1
                table[item] = count
    for place in range(first, count):
        table[items[place]] = 0
    return count


@compiled
def _keep_positive(rows: ItemRows, sessions: int, into: tuple[Numbers, Floats], first: int, count: int) -> int:
    """Weigh items by how rare they are, and drop those without a score; returns the place after the last."""
    items, scores = into
    kept = first
    for place in range(first, count):
        score = scores[place] * np.log(sessions / rows.lengths[items[place]])
        if score > 0.0:
            items[kept], scores[kept] = items[place], score
            kept += 1
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
        sharing = _share(rows, items, own[query], limits, tables.sessions, found)
        nearest = _nearest(visits, latest_s, found, sharing, limits.neighbours)
        more = 0
        for place in nearest:
            more += visits.lengths[found.sessions[place]]
        into = _with_room(into, count, more)
        end = _speak(visits, found, nearest, tables.items, into, count)
        end = _keep_positive(rows, sessions, into, count, end)
        spoken[query], count = end - count, end
    return spoken, into[0][:count].copy(), into[1][:count].copy()
