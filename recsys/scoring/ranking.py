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
    touched: Slots
    """Slots with a total, one after the other."""
    places: Integers
    """Where a slot stands among the best of its query, from 1."""


class Best(NamedTuple):
    """The best of each query, query by query, best first."""

    counts: Integers
    slots: Slots
    totals: Floats
    strongest: Integers


def room(capacity: int) -> Room:
    """Room for so many products, 20 bytes each."""
    return Room(np.zeros(capacity), np.zeros(capacity + 1, np.int32), np.zeros(capacity, np.int64))


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
        own = slice(end, end + n)
        found = _choose(candidates, work, touched, slots[own], totals[own])
        _find_strongest(said, query, work, slots[end : end + found], strongest[own])
        counts[query] = found
        end += found
    return Best(counts, slots[:end], totals[:end], strongest[:end])


@compiled
def _add_up(said: Said, query: int, work: Room) -> int:
    """Sums of what is said in a query; how many products there are in ``work.touched``."""
    totals, touched, slots, scores = work.totals, work.touched, said.slots, said.scores
    count = 0
    for part in range(len(said.starts)):
        share = _share(said, query, part)
        if share == 0.0:
            continue
        for place in range(said.starts[part, query], said.starts[part, query + 1]):
            slot, total = slots[place], totals[slots[place]]
            # Without a branch, for what comes next cannot be foreseen: one that is there already is overwritten.
            touched[count] = slot
            totals[slot] = total + scores[place] * share
            count += total == 0.0 and totals[slot] > 0.0
    return count


@compiled
def _share(said: Said, query: int, part: int) -> float:
    """What a part's scores for a query are multiplied by, so that they add up to the part's weight."""
    total = 0.0
    for place in range(said.starts[part, query], said.starts[part, query + 1]):
        total += said.scores[place]
    return said.weights[query, part] / total if total > 0.0 else 0.0


@compiled
def _choose(candidates: Candidates, work: Room, touched: int, slots: Slots, totals: Floats) -> int:
    """The best of what was touched, best first; how many. Leaves zeros behind."""
    found, least = 0, 0.0
    for place in range(touched):
        slot = work.touched[place]
        total = work.totals[slot]
        work.totals[slot] = 0.0
        if total >= least and total > 0.0 and candidates.listable[slot]:
            found = _insert(slot, total, candidates.ties, slots, totals, found)
            if found == len(slots):
                least = totals[found - 1]
    return found


@compiled
def _insert(slot: int, total: float, ties: Hashes, slots: Slots, totals: Floats, found: int) -> int:
    """Put a product in its place among the ``found`` best so far; how many there are then."""
    place = found
    while place > 0 and (
        total > totals[place - 1] or (total == totals[place - 1] and ties[slot] < ties[slots[place - 1]])
    ):
        place -= 1
    if place == len(slots):
        return found
    found = min(found + 1, len(slots))
    for later in range(found - 1, place, -1):
        slots[later], totals[later] = slots[later - 1], totals[later - 1]
    slots[place], totals[place] = slot, total
    return found


@compiled
def _find_strongest(said: Said, query: int, work: Room, slots: Slots, strongest: Integers) -> None:
    """For each of some products the place of what counts most for it; of equals the first."""
    places, said_slots = work.places, said.slots
    most = np.zeros(len(slots))
    for place in range(len(slots)):
        places[slots[place]] = place + 1
    for part in range(len(said.starts)):
        share = _share(said, query, part)
        for entry in range(said.starts[part, query], said.starts[part, query + 1]):
            place = places[said_slots[entry]]
            if place and said.scores[entry] * share > most[place - 1]:
                most[place - 1] = said.scores[entry] * share
                strongest[place - 1] = entry
    for place in range(len(slots)):
        places[slots[place]] = 0
