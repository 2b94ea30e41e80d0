from __future__ import annotations

import pytest

from recsys.evaluation.live import MISSED, RANKS, rank_class, rank_in

LISTED = [f"p{number}" for number in range(1, 31)]


@pytest.mark.parametrize(
    ("product_id", "rank"),
    [
        ("p1", "1"),
        ("p2", "2-5"),
        ("p5", "2-5"),
        ("p6", "6-10"),
        ("p11", "11-20"),
        ("p20", "11-20"),
        ("p21", "21 and lower"),
        ("other", MISSED),
    ],
)
def test_a_rank_falls_into_its_class(product_id: str, rank: str) -> None:
    assert rank_class(rank_in(LISTED, product_id)) == rank
    assert rank in RANKS


def test_an_empty_list_misses_everything() -> None:
    assert rank_class(rank_in((), "p1")) == MISSED
