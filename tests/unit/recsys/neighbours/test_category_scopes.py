from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.neighbours import ApproximateIndex, ApproximateSettings, Changes, ExactIndex, ExactSettings
from recsys.neighbours.index import Vector
from recsys.neighbours.scan import Scope

IDS = [f"p{number:02}" for number in range(14)]
SCOPES: list[Scope] = ["same", "other"]
FEW = st.sampled_from([-1.0, 0.0, 0.5, 1.0, 1.0005])


def unit(values: list[float]) -> Vector:
    vector = np.array(values, np.float64)
    return (vector / np.linalg.norm(vector)).astype(np.float16)


VECTORS = st.lists(FEW, min_size=4, max_size=4).filter(any).map(unit)


@st.composite
def changes(draw: st.DrawFn) -> Changes:
    ids = draw(st.lists(st.sampled_from(IDS), unique=True, max_size=8))
    removed = draw(st.sets(st.sampled_from(ids))) if ids else set()
    vectors = {an_id: draw(VECTORS) for an_id in ids if an_id not in removed}
    listable = draw(st.dictionaries(st.sampled_from(IDS), st.booleans(), max_size=3))
    categories = draw(st.dictionaries(st.sampled_from(IDS), st.sampled_from(["hat", "shoe", ""]), max_size=5))
    return Changes(vectors, removed, listable, categories)


def cosine(left: Vector, right: Vector) -> float:
    a, b = left.astype(np.float64), right.astype(np.float64)
    return min(float(a @ b / np.sqrt((a @ a) * (b @ b))), 1.0)


class Reference:
    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.vectors: dict[str, Vector] = {}
        self.listable: dict[str, bool] = {}
        self.categories: dict[str, str] = {}

    def apply(self, change: Changes) -> None:
        for an_id in change.removed:
            for known in (self.vectors, self.listable, self.categories):
                known.pop(an_id, None)
        self.vectors |= change.vectors
        self.listable |= {i: flag for i, flag in change.listable.items() if i in self.vectors}
        self.categories |= {i: name for i, name in change.categories.items() if i in self.vectors}

    def list_of(self, product_id: str) -> list[str]:
        mine = self.categories.get(product_id, "")
        others = [
            other
            for other in self.vectors
            if other != product_id
            and self.listable.get(other, True)
            and (self.categories.get(other, "") == mine) == (self.scope == "same")
        ]
        return sorted(others, key=lambda i: (-cosine(self.vectors[product_id], self.vectors[i]), i))[:3]


@given(st.lists(changes(), min_size=1, max_size=8), st.sampled_from(SCOPES), st.integers(0, 2))
def test_lists_within_a_scope_equal_a_computation_from_nothing(
    batches: list[Changes], scope: Scope, margin: int
) -> None:
    index = ExactIndex(4, ExactSettings(3, margin, batch_queries=3, block_rows=5, scope=scope))
    reference = Reference(scope)
    for batch in batches:
        index.apply(batch)
        reference.apply(batch)
        found = {i: [near.product_id for near in index.neighbours(i)] for i in reference.vectors}
        assert found == {i: reference.list_of(i) for i in reference.vectors}


@pytest.mark.parametrize("scope", SCOPES)
def test_a_graph_keeps_to_the_scope(scope: Scope) -> None:
    rng = np.random.default_rng(2)
    basis = rng.standard_normal((10, 32))
    pool = {f"p{n:03}": unit((rng.standard_normal(10) @ basis).tolist()) for n in range(500)}
    categories = {product_id: "abcd"[n % 4] for n, product_id in enumerate(pool)}
    lists = ExactSettings(5, 2, scope=scope)
    graph = ApproximateIndex(32, ApproximateSettings(lists, 100, directions=16, looked_at=40, effort=250))
    exact = ExactIndex(32, lists)
    for index in (graph, exact):
        for part in range(5):
            ids = list(pool)[part * 100 : part * 100 + 100]
            index.apply(Changes({i: pool[i] for i in ids}, categories={i: categories[i] for i in ids}))
    hits = [
        len({near.product_id for near in graph.neighbours(i)} & {near.product_id for near in exact.neighbours(i)})
        for i in pool
    ]
    assert sum(hits) / (5 * len(pool)) > 0.95
    assert graph.search([pool["p000"]], 3) == exact.search([pool["p000"]], 3), "a photo is of no category"
