"""The reference recommenders, against values worked out by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from benchmarks.baselines import SequentialRules, SessionPopularity, VmisKnn, ease, item_knn, popularity
from benchmarks.evaluation import Sessions, holdout_row, next_item_row
from benchmarks.movielens import read_holdout, write_holdout

TRAIN = sp.csr_array(np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]))
SESSIONS = [["a", "b"], ["a", "c", "b"], ["c", "d"]]


def test_popularity_counts_users() -> None:
    assert popularity(TRAIN).tolist() == [[3, 2, 2]] * 4


def test_item_knn_adds_up_cosines() -> None:
    ab, ac, bc = 2 / math.sqrt(6), 1 / math.sqrt(6), 1 / 2
    assert item_knn(TRAIN, 2)[3] == pytest.approx([0, ab, ac])
    assert item_knn(TRAIN, 2)[0] == pytest.approx([ab, ab, ac + bc])
    assert item_knn(TRAIN, 1)[3] == pytest.approx([0, ab, 0]), "a speaks for its nearest alone"


def test_ease_predicts_an_item_from_the_others() -> None:
    gram = (TRAIN.T @ TRAIN).toarray()
    scores = ease(TRAIN, 1.0)
    # Column by column, EASE is the ridge regression of an item on the other items.
    others = np.linalg.solve(gram[1:, 1:] + np.eye(2), gram[1:, 0])
    assert scores[:, 0] == pytest.approx(TRAIN.toarray()[:, 1:] @ others)


def test_sequential_rules_count_what_follows_by_distance() -> None:
    rules = SequentialRules(SESSIONS)
    assert rules.scores(["d", "a"]) == {"b": 1.5, "c": 1.0}
    assert rules.scores(["z"]) == {}
    assert SessionPopularity(SESSIONS).scores(["a"]) == {"a": 2, "b": 2, "c": 2, "d": 1}


def test_vmis_knn_by_hand() -> None:
    scores = VmisKnn(SESSIONS).scores(["c", "a"])
    # a is the latest of two: sessions 0 and 1 share it (1), sessions 1 and 2 share c (1/2).
    idf = {item: math.log(3 / having) for item, having in {"a": 2, "b": 2, "c": 2, "d": 1}.items()}
    expected = {
        "a": (1.0 + 1.5) * 0.9 * idf["a"],
        "b": (1.0 + 1.5) * 0.9 * idf["b"],
        "c": (1.5 * 0.9 + 0.5 * 0.8) * idf["c"],
        "d": 0.5 * 0.8 * idf["d"],
    }
    assert scores == pytest.approx(expected)
    assert VmisKnn(SESSIONS, neighbours=1).scores(["c", "a"]).keys() == {"a", "b", "c"}
    assert VmisKnn(SESSIONS, sample=1).scores(["c"]).keys() == {"c", "d"}, "the most recent session alone"


def test_movielens_is_split_by_time_and_then_by_item(tmp_path: Path) -> None:
    inter = tmp_path / "ml.inter"
    rows = ["u\t10\t3\t5", "u\t9\t3\t5", "u\t1\t3\t7", "u\t2\t3\t1", "v\t3\t5\t1", "v\t4\t5\t2"]
    inter.write_text("user_id:token\titem_id:token\trating:float\ttimestamp:float\n" + "\n".join(rows) + "\n")
    split = read_holdout(inter)
    assert [(rating.user_id, rating.item_number) for rating in split.train] == [
        ("u", 2),
        ("u", 9),
        ("u", 10),
        ("v", 3),
    ]
    assert [(rating.user_id, rating.item_number) for rating in split.test] == [("u", 1), ("v", 4)]
    events, _ = write_holdout(split, tmp_path / "out")
    assert events.read_text().splitlines()[:2] == ["timestamp_ms,user_id,product_id,event", "1000,u,2,view"]
    assert holdout_row(split, popularity) == {"NDCG@10": 0.0, "Recall@20": 0.0, "HR@10": 0.0}


def test_a_session_baseline_is_asked_at_every_position(tmp_path: Path) -> None:
    path = tmp_path / "test.tsv"
    path.write_text("SessionId\tItemId\tTime\nx\tb\t2\nx\ta\t1\nx\tc\t3\ny\td\t1\n")
    row = next_item_row(SequentialRules(SESSIONS), Sessions(path), {"x": {0}})
    # a → b is first; b → c is unknown to the rules.
    assert (row["HR@20"], row["MRR@20"], row["chosen HR@20"], row["chosen MRR@20"]) == (0.5, 0.5, 1.0, 1.0)
