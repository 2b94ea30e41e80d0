from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from test_similar_products_stage import SETTINGS, Shop

from consumers.similar_products.settings import LookSettings, SimilarProductsSettings

LOOKS = LookSettings(same_attributes=("style",))


def shop_with(**changed: Any) -> Shop:
    return Shop(SimilarProductsSettings(**{**SETTINGS.model_dump(), **changed}))


def lists(shop: Shop, kind: str = "similar") -> dict[str, list[str]]:
    return {
        update.subject: [item.product_id for item in update.items]
        for update in shop.updates().values()
        if update.kind == kind
    }


def test_prices_are_within_the_band_whichever_of_the_two_is_listed() -> None:
    shop = shop_with(price_factor=2)
    for product_id, degrees, price in [("a", 0, 10.0), ("b", 5, 20.0), ("c", 11, 21.0), ("d", 19, None)]:
        shop.create(product_id, price=price)
        shop.feature(product_id, degrees)
    shop.settle()
    assert lists(shop) == {"a": ["b", "d"], "b": ["a", "c", "d"], "c": ["b", "d"], "d": ["c", "b", "a"]}
    shop.create("c", price=15)
    shop.settle()
    assert (lists(shop)["a"], lists(shop)["c"]) == (["b", "c", "d"], ["b", "d", "a"])


def test_only_products_that_are_considered_stand_in_lists() -> None:
    shop = shop_with(required_attributes={"published": ("yes", "soon")})
    for product_id, degrees, published in [("a", 0, "yes"), ("b", 5, "no"), ("c", 11, "soon")]:
        shop.create(product_id, published=published)
        shop.feature(product_id, degrees)
    shop.add("d", 15)
    shop.settle()
    assert lists(shop) == {"a": ["c"], "b": ["a", "c"], "c": ["a"], "d": ["c", "a"]}
    shop.create("d", published="yes")
    shop.settle()
    assert lists(shop)["a"] == ["c", "d"]


def a_shop_with_looks() -> Shop:
    shop = shop_with(complete_the_look=LOOKS)
    for product_id, degrees, category, style in [
        ("a", 0, "shirt", "boho"), ("b", 5, "shirt", "boho"), ("c", 10, "shoe", "boho"),
        ("d", 15, "shoe", "sport"), ("e", 22, "hat", "boho"), ("f", 25, "hat", ""),
    ]:  # fmt: skip
        shop.create(product_id, category=category, style=style)
        shop.feature(product_id, degrees)
    shop.settle()
    return shop


def test_what_completes_a_look_goes_together_and_is_of_another_category() -> None:
    shop = a_shop_with_looks()
    assert lists(shop, "complete-the-look") == {
        "a": ["c", "e"],
        "b": ["c", "e"],
        "c": ["b", "a", "e"],
        "e": ["c", "b", "a"],
    }
    assert lists(shop)["a"] == ["b", "c", "d"], "similar products are as before"
    update = shop.updates()["complete-the-look:a"]
    assert (update.items[0].reason, update.items[0].because, update.revision) == ("completes-the-look", "a", 1)
    shop.create("d", category="shoe", style="boho")
    shop.retire("c")
    shop.settle()
    assert lists(shop, "complete-the-look")["a"] == ["d", "e"]
    records = len(shop.log.records("recommendation-updated"))
    shop.restart()
    shop.settle()
    assert len(shop.log.records("recommendation-updated")) == records


def test_lists_of_a_kind_that_is_no_longer_wanted_are_withdrawn() -> None:
    shop = a_shop_with_looks()
    shop.settings = shop.settings.model_copy(update={"complete_the_look": None})
    shop.restart()
    shop.settle()
    assert lists(shop, "complete-the-look") == {}
    assert len(lists(shop)) == 6


IDS = st.sampled_from("abcdefgh")
STEPS = st.one_of(
    st.tuples(
        IDS,
        st.sampled_from(["shirt", "shoe"]),
        st.sampled_from(["boho", "sport", ""]),
        st.sampled_from([None, 5.0, 9.0, 30.0]),
        st.booleans(),
    ),
    st.tuples(IDS, st.integers(0, 60)),
    st.tuples(IDS),
)


def publish(shop: Shop, step: tuple[Any, ...]) -> None:
    if len(step) == 5:
        shop.create(step[0], category=step[1], style=step[2], price=step[3], in_stock=step[4])
    elif len(step) == 2:
        shop.feature(*step)
    else:
        shop.retire(*step)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(STEPS, max_size=8), min_size=1, max_size=4))
def test_lists_of_both_kinds_equal_a_computation_from_nothing(batches: list[list[tuple[Any, ...]]]) -> None:
    configured = {"price_factor": 2, "complete_the_look": LOOKS}
    shop, anew = shop_with(**configured), shop_with(**configured)
    for batch in batches:
        for step in batch:
            publish(shop, step)
        shop.settle()
    for batch in batches:
        for step in batch:
            publish(anew, step)
    anew.settle()
    for kind in ("similar", "complete-the-look"):
        assert lists(shop, kind) == lists(anew, kind)


def test_a_look_needs_an_attribute() -> None:
    with pytest.raises(ValidationError, match="same_attributes"):
        LookSettings(same_attributes=())
