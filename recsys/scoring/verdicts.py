"""What each scorer said of the product that a shopper came to next, beside everything else that it said."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recsys.compiled import compiled
from recsys.scoring.ranking import Floats, Mask, Room, Said, Slots


class Verdicts(NamedTuple):
    """How each scorer did; all of shape (queries, scorers)."""

    shares: Floats
    """Of everything that a scorer said in a query, the share that spoke for the product."""
    ranks: NDArray[np.int64]
    """Where the product stands in the scorer's own list, from 1, ties against it; 0 where it does not."""
    spoke: Mask
    """Whether the scorer said anything."""


@compiled
def judge(said: Said, targets: Slots, listable: Mask, work: Room) -> Verdicts:
    """Judge scorers by the product that came next in each query; -1 is one that nobody can know."""
    parts, queries = len(said.starts), len(targets)
    shares, ranks = np.zeros((queries, parts)), np.zeros((queries, parts), np.int64)
    spoke = np.zeros((queries, parts), np.bool_)
    for part in range(parts):
        for query in range(queries):
            start, end = said.starts[part, query], said.starts[part, query + 1]
            total, touched = 0.0, 0
            for place in range(start, end):
                score, slot = said.scores[place], said.slots[place]
                if score > 0.0 and listable[slot]:
                    if work.totals[slot] == 0.0:
                        work.touched[touched] = slot
                        touched += 1
                    work.totals[slot] += score
                    total += score
            spoke[query, part] = touched > 0
            target = targets[query]
            own = work.totals[target] if target >= 0 else 0.0
            rank = 0
            for place in range(touched):
                rank += work.totals[work.touched[place]] >= own
                work.totals[work.touched[place]] = 0.0
            if own > 0.0:
                shares[query, part] = own / total
                ranks[query, part] = rank
    return Verdicts(shares, ranks, spoke)
