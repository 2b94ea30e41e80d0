from __future__ import annotations

from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.sessions.ragged_rows import RaggedRows

ROWS = 6
contents = st.dictionaries(st.integers(0, ROWS - 1), st.lists(st.integers(0, 99), max_size=300), max_size=ROWS)
steps = st.lists(st.tuples(st.sampled_from(["put", "extend", "keep"]), contents), max_size=12)


def flat(given_rows: dict[int, list[int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rows, counts = np.array(list(given_rows), np.int64), np.array(list(map(len, given_rows.values())), np.int64)
    values = np.array([value for own in given_rows.values() for value in own], np.int64)
    return rows, counts, values, values * 0.5


def apply(made: RaggedRows, expected: list[list[int]], what: str, content: dict[int, list[int]]) -> None:
    if what == "keep":
        rows = np.array(sorted(content), np.int64)
        kept = [value % 2 == 0 for row in rows for value in expected[row]]
        made.keep(rows, np.array(kept, bool))
        for row in rows:
            expected[row] = [value for value in expected[row] if value % 2 == 0]
    elif what in ("put", "extend"):
        getattr(made, what)(*flat(content))
        for row, values in content.items():
            expected[row] = ([] if what == "put" else expected[row]) + values


@given(steps, st.sampled_from([0, 4]))
def test_rows_hold_what_lists_would(done: list[tuple[str, dict[int, list[int]]]], room: int) -> None:
    made, expected = RaggedRows(np.int32, np.float64, room=room), [[] for _ in range(ROWS)]
    made.reserve(ROWS)
    for what, content in done:
        apply(made, expected, what, content)
        assert [made.row(row)[0].tolist() for row in range(ROWS)] == expected
        assert [made.row(row)[1].tolist() for row in range(ROWS)] == [[v * 0.5 for v in row] for row in expected]
    rows = np.arange(ROWS)
    places, counts = made.places(rows, last=3)
    values = made.columns[0][places].tolist()
    ends = list(accumulate(counts.tolist()))
    assert [values[end - count : end] for end, count in zip(ends, counts, strict=True)] == [
        row[-3:] for row in expected
    ]


def test_memory_stays_in_proportion_to_what_is_kept() -> None:
    made = RaggedRows(np.int64)
    made.reserve(10)
    for number in range(2_000):
        made.put(np.array([number % 10]), np.array([number % 97]), np.arange(number % 97))
    assert len(made.columns[0]) < 2_048


@pytest.mark.parametrize("room", [0, 8])
def test_packing_keeps_every_row_apart(room: int) -> None:
    """Also those that are emptied, and filled again within the room that they had."""
    made, expected, random = (
        RaggedRows(np.uint16, room=room),
        [[0] * 0 for _ in range(50)],
        np.random.default_rng(3),
    )
    made.reserve(50)
    for step in range(300):
        rows = random.permutation(50)[:10]
        counts = random.integers(0, 30, 10) * (random.random(10) < 0.7)
        values = random.integers(0, 1 << 16, int(counts.sum()))
        what = "extend" if step % 3 == 0 else "put"
        getattr(made, what)(rows, counts, values)
        for row, own in zip(rows.tolist(), np.split(values, np.cumsum(counts)[:-1]), strict=True):
            expected[row] = (expected[row] if what == "extend" else []) + own.tolist()
        assert [made.row(row)[0].tolist() for row in range(50)] == expected
