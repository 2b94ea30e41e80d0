from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recsys.scoring.largest import largest

SCORE = st.sampled_from([-1.0, 0.0, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0])


@given(
    st.integers(1, 20).flatmap(
        lambda width: st.lists(st.lists(SCORE, min_size=width, max_size=width), min_size=1)
    ),
    st.integers(1, 4),
)
def test_each_row_gives_its_largest_and_of_equals_the_first(rows: list[list[float]], most: int) -> None:
    expected = []
    for number, row in enumerate(rows):
        best = sorted((-value, column) for column, value in enumerate(row) if value > 0.0)[:most]
        expected += sorted((number, column, -value) for value, column in best)
    found = largest(np.array(rows, np.float32), most)
    assert list(zip(*(column.tolist() for column in found), strict=True)) == expected
