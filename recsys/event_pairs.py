"""Which events of a sequence make pairs, and what a batch of new events changes about that, over arrays.

Events of one owner make a pair where they are within a window of each other and at most ``reach`` places apart.
The pairs are those of the set of events, so it does not matter in which order they came; where one comes in
between others, pairs that are too many places apart by now are taken back.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


class EventSequence(NamedTuple):
    """Events, owner by owner in order of time, one a position; ``new`` are those that were added."""

    owners: Integers
    times_ms: Integers
    products: Integers
    new: Mask


class EventPairs(NamedTuple):
    """Positions of the earlier and the later event of each pair; ``signs`` is 1, or -1 for one taken back."""

    first: Integers
    second: Integers
    signs: Floats


def changed_pairs(events: EventSequence, window_ms: int, reach: int) -> EventPairs:
    """The pairs that come, and those that go, with the new events of a sequence.

    The sequence needs to hold, besides the new events, those within the window of any, and no gaps in between.
    """
    first, second = _near(np.arange(len(events.new)), events, window_ms, reach)
    came = events.new[first] | events.new[second]
    first, second = first[came], second[came]
    gone_first, gone_second = _parted(events, window_ms, reach)
    return EventPairs(
        np.concatenate([first, gone_first]),
        np.concatenate([second, gone_second]),
        np.concatenate([np.ones(len(first)), -np.ones(len(gone_first))]),
    )


def _parted(events: EventSequence, window_ms: int, reach: int) -> tuple[Integers, Integers]:
    """Pairs of old events that new ones came in between of, and moved further than ``reach`` places apart."""
    old = np.flatnonzero(~events.new)
    followed = events.new[:-1] & ~events.new[1:] & (events.owners[:-1] == events.owners[1:])
    old = old[np.isin(events.owners[old], events.owners[:-1][followed])]
    first, second = _near(old, events, window_ms, reach)
    apart = second - first > reach
    return first[apart], second[apart]


def _near(places: Integers, events: EventSequence, window_ms: int, reach: int) -> tuple[Integers, Integers]:
    """Pairs among some places of a sequence, counted among them, of which one or what is between may be new."""
    if not len(places):
        return places, places
    news = np.concatenate([[0], np.cumsum(events.new)])
    last = places[np.minimum(np.arange(len(places)) + reach, len(places) - 1)]
    starts = np.flatnonzero(news[last + 1] > news[places])
    steps = np.arange(1, reach + 1)
    begins = np.repeat(starts, reach)
    ends = begins + np.tile(steps, len(starts))
    within = ends < len(places)
    first, second = places[begins[within]], places[ends[within]]
    near = events.owners[first] == events.owners[second]
    near &= events.times_ms[second] - events.times_ms[first] <= window_ms
    return first[near], second[near]
