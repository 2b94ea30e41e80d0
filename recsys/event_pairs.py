"""Which events of a sequence make pairs, and what a batch of new events changes about that, over arrays.

Events of one owner make a pair where they are within a window of each other and at most ``reach`` places apart.
The pairs are those of the set of events, so it does not matter in which order they came; where one comes in
between others, pairs that are too many places apart by now are taken back.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recsys.compiled import compiled

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
    nowhere = EventPairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    count = _find(events, window_ms, reach, nowhere)
    pairs = EventPairs(np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count))
    _find(events, window_ms, reach, pairs)
    return pairs


@compiled
def _find(events: EventSequence, window_ms: int, reach: int, pairs: EventPairs) -> int:
    """Write the pairs down where there is room for them; how many there are."""
    owners, times_ms, new = events.owners, events.times_ms, events.new
    count = 0
    for first in range(len(owners)):
        between_old = 0
        for second in range(first + 1, len(owners)):
            # Old events that were within reach of each other made a pair before what came in between.
            if owners[second] != owners[first] or times_ms[second] - times_ms[first] > window_ms:
                break
            near = second - first <= reach
            if not near and (new[first] or between_old >= reach):
                break
            sign = 0.0
            if near and (new[first] or new[second]):
                sign = 1.0
            elif not near and not new[second]:
                sign = -1.0
            between_old += not new[second]
            if sign != 0.0:
                if count < len(pairs.first):
                    pairs.first[count], pairs.second[count], pairs.signs[count] = first, second, sign
                count += 1
    return count
