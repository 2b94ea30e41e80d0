from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.neighbours import Changes, vector_search
from recsys.neighbours.by_encoder import Feature
from recsys.neighbours.feature_search import FeatureSearch
from recsys.neighbours.hubness import Correction, learn_correction
from recsys.neighbours.index import Vector
from recsys.neighbours.pairing import Traits
from recsys.neighbours.vector_search import VectorSearch
from schemas.events import ImageFeature, ProductCreated

WIDTH = 160


def unit_rows(seed: int, count: int, width: int = WIDTH) -> list[Vector]:
    rng = np.random.default_rng(seed)
    basis = rng.standard_normal((12, width))
    rows = rng.standard_normal((count, 12)) @ basis + 0.4 * rng.standard_normal((count, width))
    return list((rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16))


def feature(product_id: str, vector: Vector, encoder_id: str = "e") -> ImageFeature:
    return ImageFeature(product_id, 0, encoder_id, b"", "", vector.tobytes(), "", 0)


def product(product_id: str, category: str = "", in_stock: bool = True) -> ProductCreated:
    return ProductCreated(product_id, 0, category=category, in_stock=in_stock)


def found(search: FeatureSearch, vector: Vector, category: str | None = None, encoder_id: str = "e") -> list[str]:
    return [near.product_id for near in search.search(Feature(encoder_id, vector), 3, category)]


def test_only_what_may_be_recommended_is_found() -> None:
    a, b, c = unit_rows(1, 3)
    search = FeatureSearch()
    search.apply({"a": feature("a", a), "b": feature("b", b), "unknown": feature("unknown", a)}, {})
    assert found(search, a) == []
    search.apply({}, {"a": product("a"), "b": product("b"), "c": product("c")})
    assert found(search, a) == ["a", "b"]
    search.apply({"c": feature("c", c)}, {"a": product("a", in_stock=False)})
    assert set(found(search, a)) == {"b", "c"}
    search.apply({"b": None}, {"c": None})
    assert found(search, a) == []


def test_a_category_is_searched_alone() -> None:
    rows = unit_rows(2, 6)
    ids = [f"p{number}" for number in range(6)]
    search = FeatureSearch()
    products = {i: product(i, "hat" if n % 2 else "shoe") for n, i in enumerate(ids)}
    search.apply({i: feature(i, row) for i, row in zip(ids, rows, strict=True)}, products)
    assert set(found(search, rows[0], "hat")) == {"p1", "p3", "p5"}
    assert found(search, rows[0], "scarf") == []
    search.apply({}, {"p1": product("p1", "scarf")})
    assert found(search, rows[0], "scarf") == ["p1"]


def test_features_of_different_encoders_are_not_compared() -> None:
    a, b = unit_rows(3, 2)
    search = FeatureSearch()
    search.apply({"a": feature("a", a), "b": feature("b", b, "f")}, {"a": product("a"), "b": product("b")})
    assert (found(search, a), found(search, a, encoder_id="f"), found(search, a[:8])) == (["a"], ["b"], [])
    assert search.encoders() == {"e": 1, "f": 1}
    search.apply({"a": feature("a", a, "f"), "b": feature("b", np.zeros(4, np.float16), "f")}, {})
    assert (found(search, a, encoder_id="f"), len(search)) == (["a"], 1)


def test_searching_changes_nothing() -> None:
    search = VectorSearch(WIDTH)
    rows = unit_rows(4, 50)
    search.apply(Changes({f"p{n}": row for n, row in enumerate(rows)}))
    first = search.search(rows[:5], 4, "none")
    assert search.search(rows[:5], 4) == search.search(rows[:5], 4)
    assert (first, search._codes) == ([[]] * 5, {})


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 5), st.booleans()), min_size=1, max_size=60))
def test_a_search_equals_looking_at_every_product(steps: list[tuple[int, int, bool]]) -> None:
    rows = unit_rows(5, 6)
    search, held = VectorSearch(WIDTH), dict[str, Vector]()
    for number, which, removed in steps:
        if removed:
            held.pop(f"p{number}", None)
            search.apply(Changes(removed=[f"p{number}"]))
        else:
            held[f"p{number}"] = rows[which]
            search.apply(Changes({f"p{number}": rows[which]}))
    query = rows[0].astype(np.float64)

    def cosine(row: Vector) -> float:
        wide = row.astype(np.float64)
        return min(float(query @ wide / np.sqrt((query @ query) * (wide @ wide))), 1.0)

    expected = sorted(((-cosine(row), product_id) for product_id, row in held.items()))[:5]
    nearest = search.search([rows[0]], 5)[0]
    assert [near.product_id for near in nearest] == [product_id for _, product_id in expected]
    assert [near.score for near in nearest] == pytest.approx([-score for score, _ in expected])


def test_main_directions_choose_nearly_all_of_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_search, "_FIRST_LEARNT", 300)
    monkeypatch.setattr(vector_search, "_SCORED", 40)
    monkeypatch.setattr(vector_search, "_SCORED_EACH", 4)
    monkeypatch.setattr(vector_search, "_DIRECTIONS", 16)
    rows = unit_rows(6, 1_000)
    ids = [f"p{number:04}" for number in range(1_000)]
    search, every = VectorSearch(WIDTH), VectorSearch(WIDTH)
    for start in range(0, 1_000, 200):
        part = dict(zip(ids[start : start + 200], rows[start : start + 200], strict=True))
        search.apply(Changes(part, traits=dict.fromkeys(list(part)[::2], Traits("even"))))
        monkeypatch.setattr(every, "_learn_at", 10_000)
        every.apply(Changes(part, traits=dict.fromkeys(list(part)[::2], Traits("even"))))
    assert search._directions is not None
    assert every._directions is None
    for category in (None, "even"):
        hits = [
            len({near.product_id for near in mine} & {near.product_id for near in right}) / 10
            for mine, right in zip(
                search.search(rows[:50], 10, category), every.search(rows[:50], 10, category), strict=True
            )
        ]
        assert np.mean(hits) > 0.95


def hubs(count: int) -> dict[str, Vector]:
    rng = np.random.default_rng(8)
    rows = 1 + rng.gamma(4.0, 0.25, (count, 1)) * rng.standard_normal((count, WIDTH))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return {f"p{number:03}": row for number, row in enumerate(rows.astype(np.float16))}


def by_hand(products: dict[str, Vector], correction: Correction, query: Vector) -> list[tuple[str, float]]:
    vectors, penalties = correction(np.stack(list(products.values())))
    scores = vectors.astype(np.float64) @ correction.centred(query[None, :])[0].astype(np.float64) - penalties
    return sorted(zip(products, scores.tolist(), strict=True), key=lambda one: -one[1])


@pytest.mark.parametrize("directions", [False, True])
def test_hubs_step_back_as_they_do_among_similar_products(
    directions: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if directions:
        monkeypatch.setattr(vector_search, "_FIRST_LEARNT", 100)
        monkeypatch.setattr(vector_search, "_SCORED", 60)
        monkeypatch.setattr(vector_search, "_SCORED_EACH", 1)
    products, queries = hubs(200), hubs(206)
    correction = learn_correction(products)
    assert correction(np.stack(list(products.values())))[1].any()
    early, late = FeatureSearch(), FeatureSearch()
    catalogue = {product_id: product(product_id) for product_id in products}
    early.correct("e", correction)
    for search in (early, late):
        search.apply({i: feature(i, row) for i, row in products.items()}, catalogue)
    plainly = late.search(Feature("e", queries["p203"]), 10)
    late.correct("e", correction)
    for query in list(queries.values())[200:]:
        expected = by_hand(products, correction, query)[:5]
        for search in (early, late):
            near = search.search(Feature("e", query), 5)
            assert [one.score for one in near] == pytest.approx([score for _, score in expected], abs=2e-3)
            assert near[0].product_id in {product_id for product_id, _ in expected[:2]}
        assert early.search(Feature("e", query), 5) == late.search(Feature("e", query), 5)
    late.correct("e", None)
    assert late.search(Feature("e", queries["p203"]), 10) == plainly
