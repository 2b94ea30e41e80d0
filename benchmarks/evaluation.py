"""The stream beside textbook recommenders on the same files in the same run.

    python -m benchmarks.evaluation holdout ml-100k.inter
    python -m benchmarks.evaluation next-item train.tsv test.tsv --positions peer_positions.csv

The baselines learn in one go and know nothing of time. The stream is what ``recsys evaluate`` prints.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Protocol

import numpy as np
import scipy.sparse as sp
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.baselines import SequentialRules, SessionPopularity, VmisKnn, ease, item_knn, popularity
from benchmarks.movielens import Holdout, read_holdout, write_holdout
from recsys.evaluation.ranking import RankingEvaluation

app = typer.Typer(help=__doc__, no_args_is_help=True)

STREAM = "this stream, event by event"

Row = dict[str, float]
"""One recommender's figures, by the column's name."""


class SessionModel(Protocol):
    """What a session baseline answers."""

    def scores(self, known: Sequence[str]) -> Mapping[str, float]:
        """Score of each item that may come next; ties count against."""


class Sessions:
    """Tab-separated SessionId, ItemId, Time: each session's items in time order, sessions by their last click."""

    def __init__(self, path: Path) -> None:
        clicks: dict[str, list[tuple[float, int, str]]] = {}
        with path.open(encoding="utf-8", newline="") as lines:
            for line, (session_id, item, at) in enumerate(list(csv.reader(lines, delimiter="\t"))[1:]):
                clicks.setdefault(session_id, []).append((float(at), line, item))
        ordered = sorted((sorted(session)[-1], session_id) for session_id, session in clicks.items())
        self.items = {name: [item for _, _, item in sorted(clicks[name])] for _, name in ordered}


@app.command()
def holdout(inter: Path) -> None:
    """Hold-out of MovieLens: NDCG@10, Recall@20, HR@10."""
    split = read_holdout(inter)
    rows = {
        "most popular": holdout_row(split, popularity),
        "item-kNN cosine, 99 neighbours": holdout_row(split, item_knn),
        "EASE λ=200": holdout_row(split, ease),
    }
    with tempfile.TemporaryDirectory() as folder:
        rows[STREAM] = stream_row(*write_holdout(split, Path(folder)))
    print_rows(rows)


@app.command()
def next_item(
    train: Path,
    test: Path,
    positions: Annotated[Path | None, typer.Option(help="pairs that are also shown alone")] = None,
) -> None:
    """Next item of sessions: HR@20 and MRR@20 at all positions, and at those given."""
    learnt, asked = Sessions(train), Sessions(test)
    chosen = {} if positions is None else _chosen(positions)
    models: dict[str, Callable[[Sequence[Sequence[str]]], SessionModel]] = {
        "most popular": SessionPopularity,
        "sequential rules": SequentialRules,
        "VMIS-kNN m=500 k=100": VmisKnn,
    }
    rows = {name: next_item_row(make(list(learnt.items.values())), asked, chosen) for name, make in models.items()}
    files = ("next-item", "--train", str(train), "--test", str(test))
    rows[STREAM] = _hr_mrr(_stream(*files), "")
    if positions is not None:
        rows[STREAM] |= _hr_mrr(_stream(*files, "--positions", str(positions)), "chosen ")
    print_rows(rows)


def holdout_row(split: Holdout, score: Callable[[sp.csr_array], Any]) -> Row:
    """A hold-out baseline's figures; training items are left out, ties go to the smaller item number."""
    users = {name: row for row, name in enumerate(dict.fromkeys(rating.user_id for rating in split.train))}
    items = sorted({rating.item_number for rating in split.train})
    column = {item: number for number, item in enumerate(items)}
    pairs = np.array([(users[rating.user_id], column[rating.item_number]) for rating in split.train]).T
    scores = score(sp.csr_array((np.ones(pairs.shape[1]), tuple(pairs)), shape=(len(users), len(items))))
    scores[tuple(pairs)] = -np.inf
    best = np.argsort(-scores, axis=1, kind="stable")[:, :20].tolist()
    relevant: dict[str, set[str]] = {}
    for rating in split.test:
        relevant.setdefault(rating.user_id, set()).add(str(rating.item_number))
    at_10, at_20 = (RankingEvaluation(k, []) for k in (10, 20))
    for user_id, wanted in relevant.items():
        listed = [str(items[place]) for place in best[users[user_id]]]
        at_10.add(listed, wanted)
        at_20.add(listed, wanted)
    return {"NDCG@10": at_10.metrics().ndcg, "Recall@20": at_20.metrics().recall, "HR@10": at_10.metrics().hr}


def stream_row(events: Path, test: Path) -> Row:
    """The stream's figures of the hold-out."""
    files = ("holdout", "--events", str(events), "--test", str(test))
    at_10, at_20 = (_stream(*files, "--k", str(k)) for k in (10, 20))
    return {"NDCG@10": at_10["ndcg"], "Recall@20": at_20["recall"], "HR@10": at_10["hr"]}


def next_item_row(model: SessionModel, asked: Sessions, chosen: Mapping[str, set[int]]) -> Row:
    """A session baseline's figures at all positions, and at the chosen ones."""
    everywhere, at_chosen = RankingEvaluation(20, ()), RankingEvaluation(20, ())
    began = time.perf_counter()
    for session_id, clicks in asked.items.items():
        for place in range(len(clicks) - 1):
            scores = model.scores(clicks[: place + 1])
            ranked = sorted(scores, key=lambda item: (-scores[item], item))
            for evaluation in (everywhere, at_chosen) if place in chosen.get(session_id, ()) else (everywhere,):
                evaluation.add(ranked, {clicks[place + 1]}, [scores[item] for item in ranked])
    found = everywhere.metrics()
    row = _hr_mrr(found._asdict(), "") | {"ms a query": (time.perf_counter() - began) * 1_000 / found.queries}
    return row | (_hr_mrr(at_chosen.metrics()._asdict(), "chosen ") if chosen else {})


def _chosen(path: Path) -> dict[str, set[int]]:
    chosen: dict[str, set[int]] = {}
    with path.open(encoding="utf-8", newline="") as lines:
        for session_id, position in list(csv.reader(lines))[1:]:
            chosen.setdefault(session_id, set()).add(int(position))
    return chosen


def _hr_mrr(found: Mapping[str, Any], where: str) -> Row:
    return {f"{where}HR@20": found["hr"], f"{where}MRR@20": found["mrr"]}


def _stream(*args: str) -> dict[str, Any]:
    command = (sys.executable, "-m", "cli.main", "evaluate", *args, "--json")
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return found


def print_rows(rows: Mapping[str, Row]) -> None:
    """A table on standard output."""
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    table = Table("", *columns)
    for name, row in rows.items():
        table.add_row(name, *(f"{row[column]:.4f}" if column in row else "" for column in columns))
    Console().print(table)


if __name__ == "__main__":
    app()
