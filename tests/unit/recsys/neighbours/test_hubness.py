from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.evaluation.in_degrees import InDegrees, in_degrees
from recsys.neighbours import Changes, ExactIndex, ExactSettings, hubness
from recsys.neighbours.by_encoder import Feature, NeighboursByEncoder
from recsys.neighbours.hubness import Correction, learn_correction
from recsys.neighbours.index import Vector

WIDTH = 48
STEPS = st.tuples(st.integers(0, 59), st.booleans(), st.booleans())


def features(count: int, seed: int = 0) -> dict[str, Vector]:
    """Alike in the main, as a network's features are, some nearer to the middle of all than others."""
    rng = np.random.default_rng(seed)
    spread = rng.gamma(4.0, 0.25, (count, 1))
    rows = 1.5 * np.abs(np.random.default_rng(99).standard_normal(WIDTH)) + spread * rng.standard_normal(
        (count, WIDTH)
    )
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return {f"p{number:04}": row for number, row in enumerate(rows.astype(np.float16))}


def lists(changes: Changes) -> dict[str, list[str]]:
    index = ExactIndex(WIDTH, ExactSettings(list_length=10, margin=0))
    index.apply(changes)
    return {
        product_id: [near.product_id for near in index.neighbours(product_id)] for product_id in changes.vectors
    }


def corrected(correction: Correction, given_features: dict[str, Vector]) -> Changes:
    rows, penalties = correction(np.stack(list(given_features.values())))
    return Changes(
        dict(zip(given_features, rows, strict=True)),
        penalties=dict(zip(given_features, penalties.tolist(), strict=True)),
    )


def test_hubs_step_back_and_products_in_no_list_come_forward() -> None:
    products = features(1_000)
    before = in_degrees(lists(Changes(products)), 10)
    after = in_degrees(lists(corrected(learn_correction(products), products)), 10)
    assert after.largest <= before.largest / 2
    assert after.share_in_no_list <= before.share_in_no_list / 2


def test_what_is_learnt_does_not_depend_on_the_order_nor_corrections_on_the_batch() -> None:
    products = features(300)
    correction = learn_correction(products)
    assert learn_correction(dict(reversed(products.items()))) == correction
    assert correction != learn_correction(features(299))
    rows = np.stack(list(products.values()))
    vectors, penalties = correction(rows)
    for size in (1, 7, 64):
        parts = [correction(rows[at : at + size]) for at in range(0, 300, size)]
        assert np.array_equal(np.concatenate([part[0] for part in parts]), vectors)
        assert np.array_equal(np.concatenate([part[1] for part in parts]), penalties)
    assert np.array_equal(penalties * 256, np.rint(penalties * 256))
    assert 0.2 < (penalties > 0).mean() < 0.6
    np.testing.assert_allclose(np.linalg.norm(vectors.astype(np.float64), axis=1), 1, atol=1e-3)


def test_few_or_equal_products_teach_without_trouble() -> None:
    one = {"a": next(iter(features(1).values()))}
    for products in (one, {f"p{n}": one["a"] for n in range(5)}):
        vectors, penalties = learn_correction(products)(np.stack(list(products.values())))
        assert np.isfinite(vectors).all()
        assert (penalties == 0).all()


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 59), st.booleans(), st.booleans()), min_size=5, max_size=90),
    st.integers(1, 9),
)
def test_lists_with_corrections_equal_a_computation_from_nothing(
    steps: list[tuple[int, bool, bool]], batch: int
) -> None:
    pool = list(features(120, seed=3).values())

    def empty() -> NeighboursByEncoder:
        return NeighboursByEncoder(lambda d: ExactIndex(d, ExactSettings(list_length=3, margin=1)), (8, 20))

    streamed, latest = empty(), dict[str, Feature | None]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hubness, "SAMPLE_PRODUCTS", 16)
        for at in range(0, len(steps), batch):
            part: dict[str, Feature | None] = {}
            for number, removed, second in steps[at : at + batch]:
                part[f"p{number}"] = None if removed else Feature("e", pool[number + 60 * second])
            streamed.apply(part, {})
            streamed.learn()
            latest |= part
    anew = empty()
    anew.apply(latest, {})
    for encoder_id, correction in streamed.corrections.items():
        anew.correct(encoder_id, correction)
    ids = [f"p{number}" for number in range(60)]
    assert [streamed.neighbours(i) for i in ids] == [anew.neighbours(i) for i in ids]


def test_it_is_learnt_again_as_the_catalogue_grows_and_taken_back() -> None:
    products = {product_id: Feature("e", row) for product_id, row in features(30).items()}
    ids = list(products)
    neighbours = NeighboursByEncoder(lambda d: ExactIndex(d, ExactSettings(list_length=5)), (10, 20))
    assert neighbours.room() == 10
    neighbours.apply({i: products[i] for i in ids[:9]}, {})
    assert (neighbours.room(), neighbours.learn()) == (1, {})
    plain = neighbours.neighbours(ids[0])
    neighbours.apply({ids[9]: products[ids[9]]}, {})
    first = neighbours.learn()["e"]
    assert (first.products, neighbours.learn(), neighbours.room()) == (10, {}, 10)
    neighbours.apply({i: products[i] for i in ids[10:]}, {})
    assert neighbours.learn()["e"].products == 30
    neighbours.apply(dict.fromkeys(ids[9:]), {})
    neighbours.correct("e", None)
    assert neighbours.neighbours(ids[0]) == plain


def test_in_degrees_are_counted_over_those_that_have_a_list() -> None:
    found = {"a": ["b", "c"], "b": ["c", "a"], "c": ["b", "x"], "d": ["b"]}
    assert in_degrees(found, 2) == InDegrees(2, 3, 0.25)
    assert in_degrees(found, 1) == InDegrees(1, 3, 0.5)
    assert in_degrees({}, 5) == InDegrees(5, 0, 0.0)


def test_an_index_says_how_unevenly_its_lists_are_filled() -> None:
    products = features(60)
    neighbours = NeighboursByEncoder(lambda d: ExactIndex(d, ExactSettings(list_length=5)))
    assert neighbours.condition() is None
    neighbours.apply({product_id: Feature("e", row) for product_id, row in products.items()}, {})
    listed = {i: [near.product_id for near in neighbours.neighbours(i)] for i in products}
    expected = in_degrees(listed, 5)
    assert neighbours.condition() == (1.0, expected.largest, expected.share_in_no_list)
