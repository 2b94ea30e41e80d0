from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from recsys.neighbours.dots import exact_dots

HALVES = st.floats(-1, 1, width=16, allow_subnormal=True)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@settings(max_examples=25, deadline=None)
@given(rows=arrays(np.float16, (3, 37), elements=HALVES), repeated=st.sampled_from([1, 100]))
def test_dots_are_not_rounded(dtype: type[np.floating], rows: np.ndarray, repeated: int) -> None:
    left, right = np.tile(np.repeat(np.arange(3), 3), repeated), np.tile(np.arange(3), 3 * repeated)
    found = exact_dots(rows.astype(np.float32), left, rows.astype(dtype), right)
    wide = rows.astype(np.float64)
    expected = [math.fsum(wide[a] * wide[b]) for a, b in zip(left[:9], right[:9], strict=True)]
    assert found.tolist() == expected * repeated


@pytest.mark.parametrize("pairs", [1, 1_000])
def test_the_smallest_numbers_count(pairs: int) -> None:
    smallest = np.full((1, 16), 2.0**-24, np.float16)
    first = np.zeros(pairs, np.int64)
    assert exact_dots(np.ones((1, 16), np.float32), first, smallest, first).tolist() == [2.0**-20] * pairs
