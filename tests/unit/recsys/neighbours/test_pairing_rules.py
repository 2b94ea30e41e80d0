from __future__ import annotations

from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.neighbours import ApproximateIndex, ApproximateSettings, Changes, ExactIndex, ExactSettings
from recsys.neighbours.index import Vector
from recsys.neighbours.pairing import PairRules, Scope, Traits

IDS = [f"p{number:02}" for number in range(14)]
SCOPES: list[Scope] = ["same", "other"]
FEW = st.sampled_from([-1.0, 0.0, 0.5, 1.0, 1.0005])


def unit(values: list[float]) -> Vector:
    vector = np.array(values, np.float64)
    return (vector / np.linalg.norm(vector)).astype(np.float16)


VECTORS = st.lists(FEW, min_size=4, max_size=4).filter(any).map(unit)


TRAITS = st.builds(
    Traits,
    st.sampled_from(["hat", "shoe", ""]),
    st.sampled_from(["boho", "sport", ""]),
    st.sampled_from([None, 0.0, 5.0, 10.0, 20.1]),
)
RULES = st.builds(PairRules, st.sampled_from(["any", "same", "other"]), st.booleans(), st.sampled_from([2.0, inf]))


@st.composite
def changes(draw: st.DrawFn) -> Changes:
    ids = draw(st.lists(st.sampled_from(IDS), unique=True, max_size=8))
    removed = draw(st.sets(st.sampled_from(ids))) if ids else set()
    vectors = {an_id: draw(VECTORS) for an_id in ids if an_id not in removed}
    listable = draw(st.dictionaries(st.sampled_from(IDS), st.booleans(), max_size=3))
    traits = draw(st.dictionaries(st.sampled_from(IDS), TRAITS, max_size=6))
    return Changes(vectors, removed, listable, traits)


def cosine(left: Vector, right: Vector) -> float:
    a, b = left.astype(np.float64), right.astype(np.float64)
    return min(float(a @ b / np.sqrt((a @ a) * (b @ b))), 1.0)


class Reference:
    def __init__(self, rules: PairRules) -> None:
        self.rules = rules
        self.vectors: dict[str, Vector] = {}
        self.listable: dict[str, bool] = {}
        self.traits: dict[str, Traits] = {}

    def apply(self, change: Changes) -> None:
        for an_id in change.removed:
            for known in (self.vectors, self.listable, self.traits):
                known.pop(an_id, None)
        self.vectors |= change.vectors
        self.listable |= {i: flag for i, flag in change.listable.items() if i in self.vectors}
        self.traits |= {i: traits for i, traits in change.traits.items() if i in self.vectors}

    def list_of(self, product_id: str) -> list[str]:
        others = [
            other
            for other in self.vectors
            if other != product_id and self.listable.get(other, True) and self.go_together(product_id, other)
        ]
        return sorted(others, key=lambda i: (-cosine(self.vectors[product_id], self.vectors[i]), i))[:3]

    def go_together(self, left: str, right: str) -> bool:
        one, other = self.traits.get(left, Traits()), self.traits.get(right, Traits())
        factor = self.rules.price_factor
        return (
            {"any": True, "same": one.category == other.category, "other": one.category != other.category}[
                self.rules.categories
            ]
            and (not self.rules.same_look or one.look == other.look != "")
            and (
                factor == inf
                or None in (one.price, other.price)
                or (one.price <= factor * other.price and other.price <= factor * one.price)  # type: ignore[operator]
            )
        )


@settings(max_examples=20, deadline=None)
@given(st.lists(changes(), min_size=1, max_size=8), RULES, st.integers(0, 2))
def test_lists_by_rules_equal_a_computation_from_nothing(
    batches: list[Changes], rules: PairRules, margin: int
) -> None:
    index = ExactIndex(4, ExactSettings(3, margin, batch_queries=3, block_rows=5, rules=rules))
    reference = Reference(rules)
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
    lists = ExactSettings(5, 2, rules=PairRules(scope))
    graph = ApproximateIndex(32, ApproximateSettings(lists, 100, directions=16, looked_at=40, effort=250))
    exact = ExactIndex(32, lists)
    for index in (graph, exact):
        for part in range(5):
            ids = list(pool)[part * 100 : part * 100 + 100]
            index.apply(Changes({i: pool[i] for i in ids}, traits={i: Traits(categories[i]) for i in ids}))
    hits = [
        len({near.product_id for near in graph.neighbours(i)} & {near.product_id for near in exact.neighbours(i)})
        for i in pool
    ]
    assert sum(hits) / (5 * len(pool)) > 0.95
    assert graph.search([pool["p000"]], 3) == exact.search([pool["p000"]], 3), "a photo is of no category"
