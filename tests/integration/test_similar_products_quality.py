"""Similar products on real photographs: how often the nearest are of the same category."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cli.similar_evaluation import evaluate_similar

DATA = Path(os.environ.get("RECSYS_TEST_DATA") or Path(__file__).parents[2].parent / "shared/data")
CLOTHING = DATA / "clothing"


@pytest.mark.slow
@pytest.mark.skipif(not CLOTHING.is_dir(), reason=f"no clothing photographs at {CLOTHING}; set RECSYS_TEST_DATA")
def test_similar_products_are_of_the_same_category() -> None:
    found = evaluate_similar(CLOTHING)
    assert (found["k"], found["queries"], found["unusable"]) == (10, 3_409, 0)
    assert found["precision"] >= 0.70
    assert found["precision"] >= found["plain"]["precision"]
    hubs = found["hubness"]
    assert hubs["largest_after"] <= hubs["largest_before"] / 2
    assert hubs["in_no_list_after"] <= hubs["in_no_list_before"] / 2
