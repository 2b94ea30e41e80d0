from __future__ import annotations

from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.for_you import ForYou, ScoringRules
from recsys.histories import History, HistoryEvent, HistoryRules
from recsys.scoring.blend import Blend
from recsys.scoring.query import QueryRules, make_queries
from schemas.codec import encode
from schemas.errors import ConfigurationError
from schemas.events import Action, ItemState, Kind, ListedProduct, ProductCreated, Reason, RecommendationUpdated

WEIGHTS = {
    "viewed_next": 1.0,
    "bought_together": 1.0,
    "similar": 1.0,
    "sessions": 1.0,
    "factors": 0.8,
    "trending": 0.02,
    "popular": 0.02,
    "segment": 0.06,
}


def row(product_id: str, *companions: str, share: float = 1.0) -> bytes:
    ones, none = [share] * len(companions), [0.0] * len(companions)
    return encode(ItemState(product_id, 0, 1.0, 5.0, 0.0, companions, ones, none, none, 1, (), (), 1))


def core(**weights: float) -> ForYou:
    for_you = ForYou(QueryRules(), ScoringRules(), {**WEIGHTS, **weights})
    for product_id in "abcdp":
        for_you.put_product(product_id, ProductCreated(product_id, 1))
    for_you.tables.put_row("p", row("p", "c", "b", "a"))
    popular = RecommendationUpdated(Kind.POPULAR, "", 1, [ListedProduct("d", 1.0, Reason.POPULAR)], 1, "x", 1)
    for_you.put_list(Kind.POPULAR, popular)
    return for_you


def history(*events: tuple[str, int, float]) -> History:
    made = History()
    for at_ms, (product_id, action, quantity) in enumerate(events):
        made.add(HistoryEvent(at_ms, at_ms, product_id, action, quantity), HistoryRules())
    return made


def ids(listed: list[ListedProduct]) -> list[str]:
    return [item.product_id for item in listed]


def test_each_product_has_its_reason() -> None:
    listed = core().recommend(history(("p", Action.VIEW, 1.0)), 10)
    assert {(item.product_id, item.reason, item.because) for item in listed[:3]} == {
        (name, Reason.BECAUSE_VIEWED, "p") for name in "abc"
    }
    assert listed[3:] == [ListedProduct("d", listed[3].score, Reason.POPULAR, "")]


@given(st.permutations("abcdefgh"), st.integers(1, 8))
def test_ties_do_not_go_by_the_order_in_which_products_came(product_ids: list[str], n: int) -> None:
    def listed(ordered: list[str]) -> list[str]:
        for_you = ForYou(QueryRules(), ScoringRules(), WEIGHTS)
        for product_id in ordered:
            for_you.put_product(product_id, ProductCreated(product_id, 1))
        for_you.tables.put_row("p", row("p", *ordered))
        return ids(for_you.recommend(history(("p", Action.VIEW, 1.0)), n))

    assert listed(product_ids) == listed(sorted(product_ids))


def test_what_was_bought_is_left_out_until_it_is_returned() -> None:
    for_you, made = core(), history(("a", Action.PURCHASE, 1.0), ("p", Action.VIEW, 1.0))
    assert "a" not in ids(for_you.recommend(made, 10))
    made.add(HistoryEvent(9, 9, "a", Action.PURCHASE, -1.0), HistoryRules())
    assert "a" in ids(for_you.recommend(made, 10))


def test_what_was_returned_says_nothing_of_what_comes_next() -> None:
    made = history(("p", Action.PURCHASE, 1.0), ("p", Action.PURCHASE, -1.0))
    assert [item.reason for item in core().recommend(made, 10)] == [Reason.POPULAR]


def test_a_purchase_is_the_better_reason() -> None:
    listed = core().recommend(history(("p", Action.PURCHASE, 1.0)), 1)
    assert listed[0].reason == Reason.BECAUSE_BOUGHT


def test_what_cannot_be_bought_or_is_excluded_is_left_out() -> None:
    for_you, made = core(), history(("p", Action.VIEW, 1.0))
    for_you.put_product("a", ProductCreated("a", 2, in_stock=False))
    for_you.put_product("b", None)
    assert ids(for_you.recommend(made, 10, excluded=["d"])) == ["c"]


def test_recommending_changes_nothing() -> None:
    for_you, made = core(), history(("p", Action.VIEW, 1.0), ("unknown", Action.VIEW, 1.0))
    before = made.snapshot("u")
    first = for_you.recommend(made, 10)
    assert for_you.recommend(made, 10) == first
    assert made.snapshot("u") == before
    assert not for_you.is_recommendable("unknown")


def test_a_weight_of_zero_leaves_a_scorer_out() -> None:
    assert ids(core(viewed_next=0.0).recommend(history(("p", Action.VIEW, 1.0)), 10)) == ["d"]


def test_a_missing_weight_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no weight for viewed_next"):
        ForYou(QueryRules(), ScoringRules(), {name: 1.0 for name in WEIGHTS if name != "viewed_next"})


def test_the_weights_of_a_query_add_up_to_one() -> None:
    made = history(("a", Action.VIEW, 1.0), ("b", Action.CART_ADD, 2.0), ("c", Action.PURCHASE, 1.0))
    query = make_queries([made.latest()], QueryRules(max_recent=2), excluded=[()], subjects=[""])
    assert query.product_ids == ["c", "b"]
    assert query.weights.sum() == pytest.approx(1.0)


EVENTS = st.tuples(st.sampled_from("abcdepq"), st.sampled_from(list(Action)), st.sampled_from([1.0, 2.0, -1.0]))


@given(st.lists(st.lists(EVENTS, max_size=8), min_size=1, max_size=12), st.integers(1, 6), st.integers(1, 4))
def test_many_lists_are_those_that_each_history_has_alone(
    shoppers: list[list[tuple[str, int, float]]], n: int, at_once: int
) -> None:
    for_you = core()
    for_you.tables.put_row("a", row("a", "a", "d", "c", "q", share=0.7))
    for_you.tables.put_row("b", row("b", "p", "d", share=0.3))
    histories = [("", history(*events)) for events in shoppers]
    singly = [for_you.recommend(each, n) for _, each in histories]
    with patch.object(Blend, "max_queries", at_once):
        assert list(for_you.recommend_many(histories, n)) == singly
    assert list(for_you.recommend_many(histories, n)) == singly


def test_fewer_lists_are_made_at_once_where_there_are_more_products() -> None:
    for_you = core()
    assert for_you.max_queries == 128
    with patch("recsys.scoring.blend._MAX_SCORES", 4_096):
        assert for_you.max_queries == 4
    with patch("recsys.scoring.blend._MAX_SCORES", 100):
        assert for_you.max_queries == 1


def test_more_products_than_there_was_room_for_are_listed_like_any() -> None:
    for_you = core()
    many = [f"m{number:04}" for number in range(3_000)]
    for product_id in many:
        for_you.put_product(product_id, ProductCreated(product_id, 1))
    for_you.tables.put_row("m0000", row("m0000", *many[-3:]))
    made = [("u", history(("p", Action.VIEW, 1.0))), ("v", history(("m0000", Action.VIEW, 1.0)))]
    first, second = for_you.recommend_many(made, 10)
    assert set(ids(first)[:3]) == set("abc")
    assert ids(first)[3:] == ids(second)[3:] == ["d"]
    assert set(ids(second)[:3]) == set(many[-3:])
