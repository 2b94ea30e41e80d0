"""MovieLens as a hold-out: ``python -m benchmarks.movielens ml-100k.inter OUT`` writes events.csv and test.csv.

Every rating is a view. Of each user's ratings in time order, ties by item number, the first 80 % (rounded down)
are events and the rest is to be found, as in the figures that peers are compared by.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

_TRAIN_SHARE = 0.8


class Rating(NamedTuple):
    """One line of the file, in the order by which it is split."""

    user_id: str
    at_seconds: int
    item_number: int


class Holdout(NamedTuple):
    """What is learnt, and what is to be found."""

    train: list[Rating]
    test: list[Rating]


def read_holdout(inter: Path) -> Holdout:
    """Split a tab-separated file of user_id, item_id, rating, timestamp (seconds) with a header."""
    ratings: dict[str, list[Rating]] = {}
    with inter.open(encoding="utf-8", newline="") as lines:
        rows = csv.reader(lines, delimiter="\t")
        next(rows)
        for user_id, item, _, at_seconds in rows:
            ratings.setdefault(user_id, []).append(Rating(user_id, int(float(at_seconds)), int(item)))
    split = Holdout([], [])
    for ordered in map(sorted, ratings.values()):
        first_test = int(len(ordered) * _TRAIN_SHARE)
        split.train.extend(ordered[:first_test])
        split.test.extend(ordered[first_test:])
    return split


def write_holdout(split: Holdout, folder: Path) -> tuple[Path, Path]:
    """Write events.csv and test.csv as ``recsys evaluate holdout`` reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / "events.csv", folder / "test.csv"
    for path, part in zip(paths, split, strict=True):
        _write(path, part)
    return paths


def _write(path: Path, ratings: Sequence[Rating]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("timestamp_ms", "user_id", "product_id", "event"))
        rows.writerows((at * 1_000, user, item, "view") for user, at, item in ratings)


if __name__ == "__main__":
    events, test = write_holdout(read_holdout(Path(sys.argv[1])), Path(sys.argv[2]))
    print(f"recsys evaluate holdout --events {events} --test {test}")
