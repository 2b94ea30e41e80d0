"""The stream beside libraries that shops use, on the same files in the same run.

    python -m benchmarks.peers holdout ml-100k.inter
    python -m benchmarks.peers cold ml-100k.inter ml-100k.user ml-100k.item

Needs the dependency group ``peers``. Hold-out: quality, and the time to take in one more event of a shopper and
answer. Cold: a tenth of the users, and a tenth of the items, without any event in training.
"""

from __future__ import annotations

import csv
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import typer

from benchmarks.cold_start import ColdSplit, cold_rows, read_attributes
from benchmarks.evaluation import STREAM, Row, holdout_row, print_rows, stream_row
from benchmarks.movielens import Holdout, read_holdout, write_holdout

app = typer.Typer(help=__doc__, no_args_is_help=True)

_SEEDS = (11, 12, 13, 14, 15)
_TIMED = 30


@app.command()
def holdout(inter: Path) -> None:
    """NDCG@10, Recall@20, HR@10, and milliseconds for one more event and the answer to it."""
    split = read_holdout(inter)
    rows: dict[str, Row] = {}
    for name, score in (
        ("implicit ALS, 32 factors, α = 2", _implicit_als),
        ("implicit item-kNN, cosine, 100 neighbours", _implicit_knn),
        ("rtrec SLIM", _rtrec_slim),
    ):
        taken: list[float] = []
        rows[name] = holdout_row(split, partial(score, taken=taken))
        rows[name]["ms an event"] = taken[0]
    with tempfile.TemporaryDirectory() as folder:
        rows[STREAM] = stream_row(*write_holdout(split, Path(folder)))
    rows[STREAM]["ms an event"] = _stream_ms(split)
    print_rows(rows)


@app.command()
def cold(inter: Path, users: Path, items: Path) -> None:
    """Users, and items, of whom only attributes are known; means over five splits."""
    with inter.open(encoding="utf-8", newline="") as lines:
        rows = csv.reader(lines, delimiter="\t")
        next(rows)
        events = [(user, item, int(float(at))) for user, item, _, at in rows]
    events.sort(key=lambda event: event[2])
    attributes = read_attributes(users), read_attributes(items)
    runs = [cold_rows(ColdSplit.of(events, seed), *attributes) for seed in _SEEDS]
    names = runs[0]
    print_rows(
        {
            name: {column: statistics.fmean(run[name][column] for run in runs) for column in names[name]}
            for name in names
        }
    )


def _median_ms(once: Callable[[int], Any], times: int) -> float:
    taken = []
    for number in range(times):
        began = time.perf_counter()
        once(number)
        taken.append((time.perf_counter() - began) * 1_000)
    return statistics.median(taken)


def _with_one_more(train: sp.csr_array, user: int) -> sp.csr_matrix:
    """The user's row with one more item."""
    row = sp.lil_matrix(train[[user]])
    row[0, int(np.argmin(row.toarray()[0]))] = 1.0
    return row.tocsr()


def _implicit_als(train: sp.csr_array, taken: list[float]) -> Any:
    from implicit.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(factors=32, alpha=2.0, random_state=1, num_threads=1)
    matrix = sp.csr_matrix(train, dtype=np.float32)
    model.fit(matrix, show_progress=False)
    scores = np.asarray(model.user_factors @ model.item_factors.T, np.float64)

    def once(number: int) -> None:
        row = _with_one_more(train, number)
        model.partial_fit_users([number], row)
        model.recommend(number, row, N=20)

    taken.append(_median_ms(once, _TIMED))
    return scores


def _implicit_knn(train: sp.csr_array, taken: list[float]) -> Any:
    from implicit.nearest_neighbours import CosineRecommender

    matrix = sp.csr_matrix(train, dtype=np.float64)
    model = CosineRecommender(K=100, num_threads=1)
    model.fit(matrix, show_progress=False)
    scores = (matrix @ model.similarity).toarray()

    def once(number: int) -> None:
        # A new event is in no similarity until all are computed anew.
        model.fit(matrix, show_progress=False)
        model.recommend(number, _with_one_more(train, number), N=20)

    taken.append(_median_ms(once, 3))
    return scores


def _rtrec_slim(train: sp.csr_array, taken: list[float]) -> Any:
    from rtrec.models import SLIM

    model = SLIM()
    users, items = train.nonzero()
    at = time.time()
    model.fit([(int(u), int(i), at, 1.0) for u, i in zip(users, items, strict=True)], progress_bar=False)
    scores = np.zeros(train.shape)
    for user in range(train.shape[0]):
        for rank, item in enumerate(model.recommend(user, top_k=50)):
            scores[user, item] = 50 - rank

    def once(number: int) -> None:
        item = int(np.argmin(train[[number]].toarray()[0]))
        model.fit([(number, item, at, 1.0)], update_interaction=True, progress_bar=False)
        model.recommend(number, top_k=20)

    taken.append(_median_ms(once, _TIMED))
    return scores


def _stream_ms(split: Holdout) -> float:
    """All behaviour stages, the log in memory between them included, until all is quiet."""
    from consumers.configuration import Configuration
    from consumers.flow import BehaviourFlow
    from schemas.events import PdpView, ProductCreated

    def views(ratings: Sequence[Any]) -> list[PdpView]:
        ordered = sorted(ratings, key=lambda rating: int(rating.at_seconds))
        return [
            PdpView(f"{r.user_id}/{r.item_number}", r.at_seconds * 1_000, r.user_id, None, str(r.item_number))
            for r in ordered
        ]

    flow, train, more = BehaviourFlow(Configuration()), views(split.train), views(split.test)
    flow.feed(ProductCreated(product_id, 0) for product_id in {view.product_id for view in train})
    flow.feed(train)

    def once(number: int) -> None:
        flow.feed([more[number]])
        flow.recommend(more[number].subject, 20)

    return _median_ms(once, _TIMED)


if __name__ == "__main__":
    app()
