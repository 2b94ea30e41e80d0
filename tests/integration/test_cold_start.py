from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import cold_start
from benchmarks.cold_start import ColdSplit, cold_rows, read_attributes

EVENTS = [
    (f"u{user}", f"{'left' if user % 2 else 'right'}-{item}", 100 * user + item)
    for user in range(40)
    for item in range(10)
    if (user // 2 + item) % 4
]
USERS = {f"u{user}": {"likes": str(user % 2)} for user in range(40)}
ITEMS = {f"{side}-{item}": {"side": side} for side in ("left", "right") for item in range(10)}


def test_nothing_of_what_is_cold_is_in_training() -> None:
    split = ColdSplit.of(EVENTS, seed=1)
    assert len(split.cold_users) == 4
    assert len(split.cold_items) == 2
    assert not {user for user, _, _ in split.train} & split.cold_users.keys()
    assert not {item for _, item, _ in split.train} & set(split.cold_items)
    assert set.union(*split.known_users.values()) <= set(split.cold_items)
    assert set.union(*split.cold_users.values()) <= set(split.known_items)


def test_attributes_tell_who_likes_what(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cold_start, "_lightfm", cold_start._popular)
    rows = cold_rows(ColdSplit.of(EVENTS, seed=1), USERS, ITEMS)
    stream, popular = (
        rows[name]["cold users NDCG@10"]
        for name in ("this stream's factors", "most popular (cold items: any order)")
    )
    assert stream > popular + 0.1


def test_attributes_are_read_without_titles(tmp_path: Path) -> None:
    path = tmp_path / "ml.item"
    path.write_text(
        'item_id:token\tmovie_title:token_seq\tclass:token_seq\n7\t"Hello\tDrama War\n', encoding="utf-8"
    )
    assert read_attributes(path) == {"7": {"class": "Drama War"}}
