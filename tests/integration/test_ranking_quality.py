"""The stream's lists on recorded data, and the peers' figures that show the protocol to be theirs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.baselines import VmisKnn, ease, popularity
from benchmarks.evaluation import Sessions, holdout_row, next_item_row
from benchmarks.movielens import read_holdout, write_holdout
from cli.ranking_evaluation import HoldoutFiles, NextItemFiles, evaluate_holdout, evaluate_next_item
from consumers.configuration import Configuration

DATA = Path(os.environ.get("RECSYS_TEST_DATA") or Path(__file__).parents[2].parent / "shared/data")
MOVIELENS = DATA / "ml-100k" / "ml-100k.inter"
CLICKS = DATA / "yoochoose-100k"

needs_movielens = pytest.mark.skipif(not MOVIELENS.is_file(), reason=f"no {MOVIELENS}; set RECSYS_TEST_DATA")
needs_clicks = pytest.mark.skipif(not CLICKS.is_dir(), reason=f"no sessions at {CLICKS}; set RECSYS_TEST_DATA")


@needs_movielens
def test_the_holdout_gives_peers_the_figures_that_are_known() -> None:
    split = read_holdout(MOVIELENS)
    popular = {"NDCG@10": 0.1162, "Recall@20": 0.1247, "HR@10": 0.5376}
    assert holdout_row(split, popularity) == pytest.approx(popular, abs=5e-5)
    assert holdout_row(split, ease) == pytest.approx(
        {"NDCG@10": 0.1988, "Recall@20": 0.2369, "HR@10": 0.7253}, abs=5e-5
    )


@needs_clicks
def test_next_items_give_a_peer_the_figures_that_are_known() -> None:
    model = VmisKnn(list(Sessions(CLICKS / "train.tsv").items.values()))
    row = next_item_row(model, Sessions(CLICKS / "test.tsv"), {})
    # Other details of the same algorithm move these in the third place.
    assert (row["HR@20"], row["MRR@20"]) == pytest.approx((0.6828, 0.3596), abs=0.003)


@needs_movielens
@pytest.mark.slow
def test_the_stream_finds_what_users_do_next(tmp_path: Path) -> None:
    events, test = write_holdout(read_holdout(MOVIELENS), tmp_path)
    found = evaluate_holdout(HoldoutFiles(events, test, {}), Configuration(), 10, lambda *progress: None)
    assert found["queries"] == 943
    assert found["ndcg"] >= 0.2
    assert found["hr"] >= 0.7


@needs_clicks
@pytest.mark.slow
def test_the_stream_finds_the_next_item() -> None:
    files = NextItemFiles(CLICKS / "train.tsv", CLICKS / "test.tsv", None, {})
    found = evaluate_next_item(files, Configuration(), 20, lambda *progress: None)
    assert found["queries"] == 10_152
    assert found["hr"] >= 0.67
    assert found["mrr"] >= 0.335
