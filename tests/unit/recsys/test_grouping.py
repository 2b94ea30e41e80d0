from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recsys.grouping import grouped


@given(st.lists(st.integers(0, 6), max_size=30))
def test_members_come_group_after_group_in_their_order(groups: list[int]) -> None:
    order, bounds = grouped(np.array(groups, np.int64), 7)
    for number in range(7):
        members = [place for place, group in enumerate(groups) if group == number]
        assert order[bounds[number] : bounds[number + 1]].tolist() == members
    assert len(bounds) == 8
