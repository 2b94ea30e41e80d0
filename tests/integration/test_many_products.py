"""Numbers of products that take more than two bytes: what a shop of 65,536 needs, compiled a second time."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.sessions.index import SessionIndex, Sessions
from recsys.sessions.vmis import SessionQueries, Vmis

pytestmark = pytest.mark.slow


def visits(first: int) -> Sessions:
    """Thirty sessions, each of three items in a row."""
    items = np.add.outer(np.arange(30), np.arange(3)).ravel() + first
    times = np.arange(90) * 1_000
    return Sessions(
        [f"{first}-{n}" for n in range(30)], np.full(30, 3), items.astype(np.int32), times, np.ones(90, "f4")
    )


@pytest.mark.parametrize("weighed", [False, True])
def test_item_numbers_become_wider_and_mean_the_same(weighed: bool) -> None:
    index = SessionIndex(weighed=weighed)
    index.put(visits(0))
    before = {name: index.session(name) for name in ("0-3", "0-29")}
    asked = SessionQueries(np.array([2]), np.array([4, 5], np.int32), np.array([-1]))
    alone = dict(zip(*Vmis(index).scores(asked)[1:], strict=True))
    index.put(visits(70_000))
    assert {name: index.session(name) for name in before} == before
    assert list(index.session("70000-3")) == [70_003, 70_004, 70_005]
    found = dict(zip(*Vmis(index).scores(asked)[1:], strict=True))
    assert found.keys() == alone.keys()
    others = Vmis(index).scores(asked._replace(items=asked.items + 70_000))
    assert dict(zip(others.items - 70_000, others.scores, strict=True)) == pytest.approx(found)
    index.put(visits(70_000)._replace(items=visits(0).items))
    assert index.popularity(np.array([4, 70_004])).tolist() == [6, 0]
