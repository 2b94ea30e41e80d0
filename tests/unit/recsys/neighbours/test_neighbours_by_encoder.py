"""A shop changes its encoder: lists of the one before until all is done, then of the new one, never of both."""

from __future__ import annotations

from functools import partial

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recsys.neighbours import ExactIndex, ExactSettings
from recsys.neighbours.by_encoder import Feature, NeighboursByEncoder
from recsys.neighbours.index import Vector

IDS = "abcde"
make_index = partial(ExactIndex, settings=ExactSettings(list_length=3, margin=1))


def vector(seed: int, dimensions: int) -> Vector:
    numbers = np.random.default_rng(seed).standard_normal(dimensions)
    return (numbers / np.linalg.norm(numbers)).astype(np.float16)


def old(product_id: str, tried: str = "") -> Feature:
    return Feature("old", vector(ord(product_id), 4), None, tried)


def both(product_id: str) -> Feature:
    return Feature("new", vector(ord(product_id), 6), old(product_id))


def lists(kept: NeighboursByEncoder) -> dict[str, list[str]]:
    return {product_id: [near.product_id for near in kept.neighbours(product_id)] for product_id in kept}


def lists_of(encoder: str, ids: str = IDS) -> dict[str, list[str]]:
    """From nothing, with vectors of one encoder alone."""
    alone = NeighboursByEncoder(make_index)
    made = {product_id: old(product_id) for product_id in ids}
    if encoder == "new":
        made = {product_id: both(product_id)._replace(earlier=None) for product_id in ids}
    alone.apply(made, {})
    return lists(alone)


def shop() -> NeighboursByEncoder:
    kept = NeighboursByEncoder(make_index, wanted="new")
    kept.apply({product_id: old(product_id) for product_id in IDS}, {})
    kept.settle()
    kept.take_changed()
    return kept


def test_the_old_lists_are_served_until_the_last_product_is_done_and_then_all_change_at_once() -> None:
    kept = shop()
    for product_id in IDS[:-1]:
        kept.apply({product_id: both(product_id)}, {})
        kept.settle()
        assert kept.take_changed() == []
        assert (kept.served, lists(kept)) == ("old", lists_of("old"))
    kept.apply({IDS[-1]: both(IDS[-1])}, {})
    kept.settle()
    assert sorted(kept.take_changed()) == list(IDS)
    assert (kept.served, lists(kept)) == ("new", lists_of("new"))
    assert {kept.encoder_of(product_id) for product_id in IDS} == {"new"}


def test_a_product_that_comes_meanwhile_is_listed_at_once() -> None:
    kept = shop()
    kept.apply({"f": both("f")}, {})
    kept.settle()
    assert "f" in kept.take_changed()
    assert lists(kept) == lists_of("old", IDS + "f")


def test_a_picture_that_is_gone_holds_nobody_up_and_its_product_keeps_a_list() -> None:
    kept = shop()
    kept.apply({product_id: both(product_id) for product_id in IDS[1:]} | {"a": old("a", tried="new")}, {})
    kept.settle()
    assert kept.served == "new"
    assert lists(kept) == lists_of("new", IDS[1:]) | {"a": lists_of("old")["a"]}


def test_once_changed_it_stays_so_whatever_a_process_of_before_still_publishes() -> None:
    kept = shop()
    kept.apply({product_id: both(product_id) for product_id in IDS}, {})
    kept.settle()
    kept.apply({"f": old("f")}, {})
    kept.settle()
    assert kept.served == "new"
    assert lists(kept)["a"] == lists_of("new")["a"]


def test_going_back_takes_one_step_and_no_new_vectors() -> None:
    back = NeighboursByEncoder(make_index, wanted="old")
    back.apply({product_id: both(product_id) for product_id in IDS}, {})
    back.serve("new")
    back.settle()
    assert (back.served, lists(back)) == ("old", lists_of("old"))


def test_an_encoder_whose_products_are_all_gone_is_not_waited_for() -> None:
    kept = shop()
    kept.apply(dict.fromkeys(IDS), {})
    kept.take_changed()
    kept.apply({"f": Feature("new", vector(1, 6)), "g": Feature("new", vector(2, 6))}, {})
    kept.settle()
    assert (kept.served, lists(kept)) == ("new", {"f": ["g"], "g": ["f"]})


@given(st.lists(st.tuples(st.sampled_from(IDS), st.sampled_from(["old", "both", "tried", "gone"])), max_size=12))
def test_no_list_mixes_two_encoders_and_each_is_as_long_as_it_can_be(changes: list[tuple[str, str]]) -> None:
    kept = shop()
    for product_id, change in changes:
        made = {"old": old(product_id), "both": both(product_id), "tried": old(product_id, "new"), "gone": None}
        kept.apply({product_id: made[change]}, {})
        kept.settle()
        kept.take_changed()
        for listed in kept:
            encoder = kept.encoder_of(listed)
            comparable = {
                other for other in kept if encoder in {space.encoder_id for space in kept._spaces_of[other]}
            }
            near = {one.product_id for one in kept.neighbours(listed)}
            assert near <= comparable - {listed}
            assert len(near) == min(3, len(comparable) - 1)
