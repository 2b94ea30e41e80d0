"""The best products of many queries, from what several scorers say, in one pass over it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recsys.compiled import compiled

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Slots = NDArray[np.int32]
Hashes = NDArray[np.uint64]
Mask = NDArray[np.bool_]


class Said(NamedTuple):
    """What speaks for which products, part by part, in each part query by query."""

    starts: Integers
    """Shape (parts, queries + 1): where in the columns what a part says of a query begins, and ends."""
    slots: Slots
    scores: Floats
    weights: Floats
    """Shape (queries, parts): what a part's scores for a query, none below zero, add up to in the end."""


class Candidates(NamedTuple):
    """Which products may be listed."""

    listable: Mask
    """By slot."""
    ties: Hashes
    """By slot; of equals the smaller goes first."""
    excluded_starts: Integers
    excluded: Slots
    """Query by query, as in ``Said``."""


class Room(NamedTuple):
    """What is worked on, by slot: zeros wherever nothing is under way."""

    totals: Floats
    most: Floats
    """The largest that was added."""
    strongest: Integers
    """Where that stands in the columns; of equals the first."""
    touched: Slots


class Best(NamedTuple):
    """The best of each query, query by query, best first."""

    counts: Integers
    slots: Slots
    totals: Floats
    strongest: Integers


def room(capacity: int) -> Room:
    """Room for so many products, 28 bytes each."""
    return Room(np.zeros(capacity), np.zeros(capacity), np.zeros(capacity, np.int64), np.zeros(capacity, np.int32))


@compiled
def best(said: Said, candidates: Candidates, n: int, work: Room) -> Best:
    """At most ``n`` products a query, those of the greatest sums above zero."""
    queries = len(said.weights)
    counts = np.zeros(queries, np.int64)
    slots, totals = np.zeros(queries * n, np.int32), np.zeros(queries * n)
    strongest = np.zeros(queries * n, np.int64)
    end = 0
    for query in range(queries):
        touched = _add_up(said, query, work)
        for place in range(candidates.excluded_starts[query], candidates.excluded_starts[query + 1]):
            work.totals[candidates.excluded[place]] = 0.0
        found = 0
        for place in range(touched):
            slot = work.touched[place]
            if work.totals[slot] > 0.0 and candidates.listable[slot]:
                own = slice(end, end + n)
                found = _insert(slot, work.totals[slot], candidates.ties, slots[own], totals[own], found)
        for place in range(end, end + found):
            strongest[place] = work.strongest[slots[place]]
        for place in range(touched):
            work.totals[work.touched[place]] = 0.0
            work.most[work.touched[place]] = 0.0
        counts[query] = found
        end += found
    return Best(counts, slots[:end], totals[:end], strongest[:end])


@compiled
def _add_up(said: Said, query: int, work: Room) -> int:
    """Sums of what is said in a query; how many products there are in ``work.touched``."""
    touched = 0
    for part in range(len(said.starts)):
        start, end = said.starts[part, query], said.starts[part, query + 1]
        total = 0.0
        for place in range(start, end):
            total += said.scores[place]
        if not total > 0.0:
            continue
        share = said.weights[query, part] / total
        for place in range(start, end):
            score = said.scores[place] * share
            if not score > 0.0:
                continue
            slot = said.slots[place]
            if work.totals[slot] == 0.0:
                work.touched[touched] = slot
                touched += 1
            work.totals[slot] += score
            if score > work.most[slot]:
                work.most[slot] = score
                work.strongest[slot] = place
    return touched


@compiled
def _insert(slot: int, total: float, ties: Hashes, slots: Slots, totals: Floats, found: int) -> int:
    """Put a product in its place among the ``found`` best so far; how many there are then."""
    room = len(slots)
    place = found
    while place > 0 and (
        total > totals[place - 1] or (total == totals[place - 1] and ties[slot] < ties[slots[place - 1]])
    ):
        place -= 1
    if place == room:
        return found
    found = min(found + 1, room)
    for later in range(found - 1, place, -1):
        slots[later], totals[later] = slots[later - 1], totals[later - 1]
    slots[place], totals[place] = slot, total
    return found
