from __future__ import annotations

from recsys.recent_ids import RecentIds


def test_those_longest_unvisited_are_taken_out_first() -> None:
    ids = RecentIds(2)
    for an_id in ("a", "b", "c", "a", "d"):
        ids.visit(an_id)
    assert ids.take_excess() == ["b", "c"]
    assert ids.take_excess() == []
    assert len(ids) == 2


def test_an_id_that_is_discarded_takes_no_place() -> None:
    ids = RecentIds(1)
    ids.visit("a")
    ids.discard("a")
    ids.discard("unheard-of")
    ids.visit("b")
    assert ids.take_excess() == []
