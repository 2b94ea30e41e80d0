from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recsys.neighbours import Changes, ExactIndex, ExactSettings
from recsys.neighbours.index import Vector

IDS = [f"p{number:02}" for number in range(18)]
SAME = 0.98
LENGTH, SPARE = 3, 2


def on_a_circle(degrees: float) -> Vector:
    return np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees)), 0, 0]).astype(np.float16)


def cosine(left: Vector, right: Vector) -> float:
    a, b = left.astype(np.float64), right.astype(np.float64)
    return min(float(a @ b / np.sqrt((a @ a) * (b @ b))), 1.0)


def index(**changed: int) -> ExactIndex:
    return ExactIndex(4, ExactSettings(LENGTH, **({"margin": 1} | changed), near_duplicate=SAME, spare=SPARE))


class Reference:
    """Every list from nothing, a pair at a time."""

    def __init__(self) -> None:
        self.vectors: dict[str, Vector] = {}
        self.listable: dict[str, bool] = {}

    def apply(self, change: Changes) -> None:
        for an_id in change.removed:
            self.vectors.pop(an_id, None)
            self.listable.pop(an_id, None)
        self.vectors |= change.vectors
        self.listable |= {an_id: flag for an_id, flag in change.listable.items() if an_id in self.vectors}

    def list_of(self, product_id: str) -> list[str]:
        looked_at, kept = self._looked_at(product_id), []
        for other in looked_at:
            if not any(self._show_the_same(other, one) for one in (product_id, *kept)):
                kept.append(other)
        gone = [other for other in looked_at if other not in kept]
        if 2 * len(gone) > len(looked_at):
            gone = gone[:SPARE]
        return [other for other in looked_at if other not in gone][:LENGTH]

    def _looked_at(self, product_id: str) -> list[str]:
        representatives = {
            self.vectors[i].tobytes(): i for i in sorted(self.vectors, reverse=True) if self._may(i)
        }
        others = set(representatives.values()) - {product_id}
        mine = self.vectors[product_id]
        return sorted(others, key=lambda i: (-cosine(mine, self.vectors[i]), i))[: LENGTH + SPARE]

    def _may(self, product_id: str) -> bool:
        return self.listable.get(product_id, True)

    def _show_the_same(self, left: str, right: str) -> bool:
        pairs = ((left, right), (right, left))
        near = any(one in self._looked_at(other) for one, other in pairs)
        return near and cosine(self.vectors[left], self.vectors[right]) >= SAME


ANGLES = st.integers(0, 17).map(lambda step: on_a_circle(5 * step))  # cos 10 degrees is 0.985, cos 15 is 0.966


@st.composite
def changes(draw: st.DrawFn) -> Changes:
    ids = draw(st.lists(st.sampled_from(IDS), unique=True, max_size=9))
    removed = draw(st.sets(st.sampled_from(ids))) if ids else set()
    vectors = {an_id: draw(ANGLES) for an_id in ids if an_id not in removed}
    return Changes(vectors, removed, draw(st.dictionaries(st.sampled_from(IDS), st.booleans(), max_size=3)))


@given(st.lists(changes(), min_size=1, max_size=7), st.integers(0, 4))
def test_lists_without_near_duplicates_equal_a_computation_from_nothing(
    batches: list[Changes], margin: int
) -> None:
    streamed, reference = index(margin=margin), Reference()
    taken: dict[str, list[str]] = {}
    for batch in batches:
        streamed.apply(batch)
        reference.apply(batch)
        found = {i: [near.product_id for near in streamed.neighbours(i)] for i in IDS if i in streamed}
        assert found == {i: reference.list_of(i) for i in reference.vectors}
        changed = set(streamed.take_changed())
        assert {i for i in found if found[i] != taken.get(i, [])} <= changed
        taken = found


def test_the_same_photograph_twice_is_listed_once_and_never_for_itself() -> None:
    shop = index()
    shop.apply(Changes({"a": on_a_circle(0), "b": on_a_circle(0), "c": on_a_circle(4), "d": on_a_circle(40)}))
    shop.apply(Changes({"e": on_a_circle(60), "f": on_a_circle(85)}))
    assert [near.product_id for near in shop.neighbours("d")] == ["e", "c", "f"]
    for same in ("a", "b", "c"):
        assert [near.product_id for near in shop.neighbours(same)] == ["d", "e", "f"]
    shop.apply(Changes(removed=["c"]))
    assert [near.product_id for near in shop.neighbours("d")] == ["e", "a", "f"]


def test_one_picture_on_many_products_costs_no_more_than_on_one() -> None:
    shop = index()
    placeholder = {f"placeholder-{number:03}": on_a_circle(5) for number in range(300)}
    shop.apply(Changes(placeholder | {f"real-{n}": on_a_circle(20 + 20 * n) for n in range(4)}))
    assert [near.product_id for near in shop.neighbours("real-0")] == ["placeholder-000", "real-1", "real-2"]
    assert [near.product_id for near in shop.neighbours("placeholder-007")] == ["real-0", "real-1", "real-2"]
    assert shop.in_degrees().max() <= 304


def test_pictures_that_are_all_alike_are_listed_all_the_same() -> None:
    shop = index()
    shop.apply(Changes({f"p{number}": on_a_circle(number) for number in range(10)}))
    for number in range(10):
        assert len(shop.neighbours(f"p{number}")) == LENGTH
