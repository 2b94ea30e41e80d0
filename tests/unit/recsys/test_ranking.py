"""The best products of many queries against the definition: sums by product, sorted."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recsys.scoring.ranking import Candidates, Said, best, room

PRODUCTS = 12
SCORES = st.sampled_from([0.0, 0.125, 0.25, 0.5, 1.0])
PART = st.lists(st.tuples(st.integers(0, PRODUCTS - 1), SCORES), max_size=10)
QUERY = st.lists(PART, min_size=2, max_size=2)


def expected(
    query: list[list[tuple[int, float]]], weights: list[float], out: set[int], ties: list[int], n: int
) -> list[tuple[int, float]]:
    totals: dict[int, float] = defaultdict(float)
    for part, weight in zip(query, weights, strict=True):
        total = sum(score for _, score in part)
        for slot, score in part:
            if total > 0.0:
                totals[slot] += score * (weight / total)
    kept = [(slot, total) for slot, total in totals.items() if total > 0.0 and slot not in out]
    return sorted(kept, key=lambda pair: (-pair[1], ties[pair[0]]))[:n]


@given(
    st.lists(QUERY, min_size=1, max_size=5),
    st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=10, max_size=10),
    st.lists(st.sets(st.integers(0, PRODUCTS - 1), max_size=3), min_size=5, max_size=5),
    st.sets(st.integers(0, PRODUCTS - 1), max_size=4),
    st.permutations(range(PRODUCTS)),
    st.integers(1, 6),
)
def test_the_best_are_those_of_the_greatest_sums(
    queries: list[list[list[tuple[int, float]]]],
    weights: list[float],
    excluded: list[set[int]],
    unlisted: set[int],
    ties: list[int],
    n: int,
) -> None:
    parts = [[query[part] for query in queries] for part in range(2)]
    flat = [pair for part in parts for own in part for pair in own]
    lengths = [len(own) for part in parts for own in part]
    ends = np.cumsum([0, *lengths])
    each = len(queries)
    starts = np.array([ends[: each + 1], ends[each:]])
    mixed = np.array(weights).reshape(5, 2)[:each]
    said = Said(
        starts,
        np.array([slot for slot, _ in flat], np.int32),
        np.array([score for _, score in flat], float),
        mixed,
    )
    listable = np.ones(PRODUCTS, bool)
    listable[list(unlisted)] = False
    candidates = Candidates(
        listable,
        np.array(ties, np.uint64),
        np.cumsum([0, *map(len, excluded[:each])]),
        np.array([slot for out in excluded[:each] for slot in out], np.int32),
    )
    work = room(PRODUCTS)
    found = best(said, candidates, n, work)
    bounds = np.cumsum([0, *found.counts])
    for number, query in enumerate(queries):
        own = slice(bounds[number], bounds[number + 1])
        listed = list(zip(found.slots[own].tolist(), found.totals[own].tolist(), strict=True))
        assert listed == expected(query, mixed[number].tolist(), excluded[number] | unlisted, ties, n)
        for slot, place in zip(found.slots[own], found.strongest[own].tolist(), strict=True):
            assert flat[place][0] == slot
    assert not work.totals.any()
    assert not work.places.any()
