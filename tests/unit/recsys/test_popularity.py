from __future__ import annotations

import itertools
from dataclasses import replace
from random import Random
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.catalogue import Catalogue
from recsys.decay import Decay
from recsys.popularity import OVERALL, Popularity
from recsys.visit_weights import PopularityRules
from schemas.codec import decode, encode
from schemas.errors import ConfigurationError
from schemas.events import CoVisits, Kind, ProductCreated, SegmentVisits, TrendingState

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
RULES = PopularityRules(Decay(30 * DAY_MS), Decay(6 * HOUR_MS), list_length=3, trending_floor=2.0)


def catalogue_of(**categories: str) -> Catalogue:
    catalogue = Catalogue()
    for product_id, category in categories.items():
        catalogue.put(product_id, ProductCreated(product_id, 0, category=category))
    return catalogue


def visits(product_id: str, *visits: tuple[int, float]) -> CoVisits:
    times = tuple(at_ms for at_ms, _ in visits)
    weights = tuple(weight for _, weight in visits)
    return CoVisits(product_id, times, (0,) * len(times), weights, (), (), (), (), "pdp-view/e", 1)


def listed(popularity: Popularity, kind: str, subject: str = OVERALL) -> list[str]:
    lists = {(k, s): [item.product_id for item in items] for k, s, items in popularity.lists([subject])}
    return lists[kind, subject]


SHOP = catalogue_of(a="hats", b="hats", c="shoes", d="shoes", e="")


def popularity_of(*batches: CoVisits, catalogue: Catalogue = SHOP) -> Popularity:
    popularity = Popularity(RULES, catalogue)
    for batch in batches:
        popularity.add([batch])
    return popularity


def test_popular_lists_are_overall_and_by_category() -> None:
    popularity = popularity_of(
        visits("a", (9, 1.0)), visits("b", (9, 3.0)), visits("c", (9, 2.0)), visits("e", (9, 9.0))
    )
    assert listed(popularity, Kind.POPULAR) == ["e", "b", "c"]
    assert listed(popularity, Kind.POPULAR, "hats") == ["b", "a"]
    assert listed(popularity, Kind.POPULAR, "shoes") == ["c"]
    assert listed(popularity, Kind.POPULAR, "no such") == []


def test_what_was_popular_is_forgotten() -> None:
    popularity = popularity_of(visits("a", (0, 1.0)), visits("b", (90 * DAY_MS, 0.2)))
    assert listed(popularity, Kind.POPULAR) == ["b", "a"]


def test_ties_go_to_the_smaller_id_also_where_the_list_is_full() -> None:
    names = [f"p{n}" for n in range(9)]
    popularity = popularity_of(
        *(visits(name, (5, 1.0)) for name in reversed(names)), catalogue=catalogue_of(**dict.fromkeys(names, ""))
    )
    assert listed(popularity, Kind.POPULAR) == ["p0", "p1", "p2"]


def history(days: int = 20) -> list[CoVisits]:
    """A bestseller visited every hour, and two products visited twice a day."""
    every_hour = tuple((hour * HOUR_MS, 1.0) for hour in range(days * 24))
    return [visits("a", *every_hour), visits("b", *every_hour[::12]), visits("c", *every_hour[::12])]


def test_a_steady_bestseller_is_popular_and_not_trending() -> None:
    now_ms = 20 * DAY_MS
    popularity = popularity_of(*history(), visits("b", *((now_ms + n, 1.0) for n in range(12))))
    assert listed(popularity, Kind.POPULAR)[0] == "a"
    assert listed(popularity, Kind.TRENDING) == ["b"]


def test_one_click_does_not_trend() -> None:
    assert listed(popularity_of(*history(), visits("d", (20 * DAY_MS, 1.0))), Kind.TRENDING) == []


def test_a_busy_evening_alone_makes_nothing_trend_more_than_the_rest() -> None:
    now_ms = 20 * DAY_MS
    busy = [
        visits("a", *((now_ms, 1.0),) * 120),
        visits("b", *((now_ms, 1.0),) * 10),
        visits("c", *((now_ms, 1.0),) * 10),
    ]
    lists = popularity_of(*history(), *busy).lists([OVERALL])
    scores = {kind: [item.score for item in items] for kind, _, items in lists}
    assert all(score < 1.0 for score in scores[Kind.TRENDING])


def test_a_young_shop_has_trending_products_too() -> None:
    popularity = popularity_of(visits("a", *((n, 1.0) for n in range(9))), visits("b", (5, 1.0)))
    assert listed(popularity, Kind.TRENDING) == ["a"]


def test_what_may_not_be_recommended_is_not_listed_until_it_may() -> None:
    catalogue = catalogue_of(a="hats")
    popularity = popularity_of(visits("a", (9, 1.0)), visits("b", (9, 2.0)), catalogue=catalogue)
    assert listed(popularity, Kind.POPULAR) == ["a"]
    catalogue.put("b", ProductCreated("b", 0, category="hats"))
    popularity.reclassify("b")
    assert listed(popularity, Kind.POPULAR, "hats") == ["b", "a"]
    catalogue.put("a", ProductCreated("a", 0, category="hats", in_stock=False))
    popularity.reclassify("a")
    assert listed(popularity, Kind.POPULAR, "hats") == ["b"]
    assert popularity.drop("b")
    assert not popularity.drop("b")
    assert listed(popularity, Kind.POPULAR) == []


def test_a_place_is_used_again_without_what_was_in_it() -> None:
    popularity = popularity_of(visits("a", (9, 5.0)))
    popularity.drop("a")
    popularity.add([visits("c", (9, 1.0))])
    assert popularity.snapshot("c").popular == pytest.approx(1.0)
    assert listed(popularity, Kind.POPULAR, "hats") == []


def test_returns_never_make_a_list_of_negative_scores() -> None:
    popularity = popularity_of(visits("a", (9, 5.0), (10, -6.0)), visits("b", (9, 1.0)))
    assert listed(popularity, Kind.POPULAR) == ["b"]


def test_more_products_than_the_first_arrays_hold() -> None:
    names = [f"p{n:05}" for n in range(3_000)]
    popularity = Popularity(RULES, catalogue_of(**dict.fromkeys(names, "")))
    popularity.add([visits(name, (9, 1.0 + n)) for n, name in enumerate(names)])
    assert listed(popularity, Kind.POPULAR) == ["p02999", "p02998", "p02997"]
    assert popularity.snapshot("p00000").popular == pytest.approx(1.0)


messages = st.builds(
    lambda product_id, pairs: visits(product_id, *pairs),
    st.sampled_from("abcde"),
    st.lists(st.tuples(st.integers(0, 2 * 365 * DAY_MS), st.floats(-2.0, 5.0)), max_size=4),
)


def assert_close(one: TrendingState, other: TrendingState) -> None:
    """Equal as of the product's latest visit, up to what purchases and returns that cancel leave."""
    epochs = [(s.trending_epoch, s.popular_epoch, s.event_time_ms) for s in (one, other)]
    assert epochs[0] == epochs[1]
    now_ms = one.event_time_ms
    popular = [RULES.popular.value_at(s.popular, s.popular_epoch, now_ms) for s in (one, other)]
    trending = [RULES.trending.value_at(s.trending, s.trending_epoch, now_ms) for s in (one, other)]
    assert popular[0] == pytest.approx(popular[1], rel=1e-9, abs=1e-9)
    assert trending[0] == pytest.approx(trending[1], rel=1e-9, abs=1e-9)


def states(popularity: Popularity) -> dict[str, TrendingState]:
    return {product_id: popularity.snapshot(product_id) for product_id in popularity}


@given(st.lists(messages, min_size=1, max_size=4))
def test_weights_do_not_depend_on_the_order_of_arrival(batches: list[CoVisits]) -> None:
    expected = states(popularity_of(*batches))
    for order in itertools.permutations(batches):
        found = states(popularity_of(*order))
        assert set(found) == set(expected)
        for product_id, state in expected.items():
            assert_close(found[product_id], state)


@given(st.lists(messages, max_size=6))
def test_a_batch_equals_one_by_one(batches: list[CoVisits]) -> None:
    at_once = Popularity(RULES, SHOP)
    visited = at_once.add(batches)
    one_by_one = popularity_of(*batches)
    assert set(visited) == set(one_by_one)
    for product_id, state in states(one_by_one).items():
        assert_close(at_once.snapshot(product_id), state)


@given(st.lists(messages, max_size=6))
def test_a_snapshot_restores_the_weights_and_reading_leaves_them_equal(batches: list[CoVisits]) -> None:
    popularity = popularity_of(*batches)
    before = [encode(state) for state in states(popularity).values()]
    lists = list(popularity.lists([OVERALL, "hats", "unheard-of"]))
    assert popularity.latest_ms("unheard-of") == 0
    assert "unheard-of" not in popularity
    assert [encode(state) for state in states(popularity).values()] == before
    restored = Popularity(RULES, SHOP)
    for data in before:
        restored.restore(decode("trending-state", data))  # type: ignore[arg-type]
    for product_id, state in states(popularity).items():
        assert_close(restored.snapshot(product_id), state)
    for (_, _, one), (_, _, other) in zip(lists, restored.lists([OVERALL, "hats", "unheard-of"]), strict=True):
        assert [item.product_id for item in other] == [item.product_id for item in one]


def test_weights_kept_with_another_half_life_are_refused() -> None:
    state = popularity_of(visits("a", (10**12, 1.0))).snapshot("a")
    other = Popularity(replace(RULES, trending=Decay(HOUR_MS)), SHOP)
    with pytest.raises(ConfigurationError, match="another half-life"):
        other.restore(state)
    assert "a" not in other


def segment_visits(segment: str, *visited: tuple[str, int, float]) -> SegmentVisits:
    ids, times, weights = zip(*visited, strict=True)
    return SegmentVisits(segment, ids, times, weights, "pdp-view/e", 1)


def test_segments_have_lists_of_their_own_up_to_a_bound() -> None:
    popularity = Popularity(replace(RULES, max_segments=2), SHOP)
    popularity.add([visits("a", (9, 5.0)), visits("b", (9, 1.0))])
    assert popularity.add_segment(segment_visits("city=X", ("b", 9, 1.0), ("c", 9, 2.0), ("b", 9, 2.0))) == [
        "b",
        "c",
    ]
    assert popularity.add_segment(segment_visits("hats", ("c", 9, 1.0))) == ["c"]
    assert popularity.add_segment(segment_visits("city=Z", ("c", 9, 1.0))) is None
    assert popularity.segments() == ["city=X", "hats"]
    assert listed(popularity, Kind.POPULAR, "city=X") == ["b", "c"]
    assert listed(popularity, Kind.POPULAR, "hats") == ["c"], "not the category of the same name"
    assert listed(popularity, Kind.POPULAR) == ["a", "b"]
    assert popularity.segments_of("b") == ["city=X"]
    popularity.drop("c")
    assert popularity.segments() == ["city=X"], "nothing is left of the other"


def test_what_a_segment_takes_back_leaves_no_trace() -> None:
    popularity = Popularity(RULES, SHOP)
    popularity.add_segment(segment_visits("city=X", ("a", 9, 0.1), ("a", DAY_MS, 0.2), ("b", 9, 1.0)))
    popularity.add_segment(segment_visits("city=X", ("a", DAY_MS, -0.2), ("a", 9, -0.1)))
    assert popularity.segments_of("a") == []
    assert popularity.is_empty("a")
    assert not popularity.is_empty("b")
    popularity.add([visits("a", (9, 1.0))])
    assert not popularity.is_empty("a")


def test_what_trends_in_a_segment_stands_out_from_its_own_past() -> None:
    now_ms = 20 * DAY_MS
    popularity = popularity_of(*history())
    calm = [(product_id, hour * HOUR_MS, 1.0) for hour in range(20 * 24) for product_id in "ab"]
    popularity.add_segment(segment_visits("city=X", *calm))
    popularity.add_segment(segment_visits("city=X", *(("b", now_ms + n, 1.0) for n in range(30))))
    assert listed(popularity, Kind.TRENDING, "city=X") == ["b"]
    assert listed(popularity, Kind.TRENDING) == []


def test_what_is_hardly_more_than_usual_does_not_trend() -> None:
    """Recent weight alone is no acceleration, and a small one is chance."""
    now_ms = 20 * DAY_MS
    more = visits("a", *((now_ms + n, 1.0) for n in range(4)))
    assert listed(popularity_of(*history(), more), Kind.TRENDING) == []
    bold = Popularity(replace(RULES, significance=0.0), SHOP)
    bold.add([*history(), more])
    assert listed(bold, Kind.TRENDING) == ["a"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["city=X", "city=Y"]), st.sampled_from("abcd"), st.integers(0, 10**10), st.just(1.0)
        ),
        min_size=1,
        max_size=12,
    ),
    st.randoms(use_true_random=False),
)
def test_segments_come_out_the_same_in_any_order_and_after_a_restore(
    visited: list[tuple[str, str, int, float]], random: Random
) -> None:
    straight, shuffled, restored = (Popularity(RULES, SHOP) for _ in range(3))
    for segment, *visit in visited:
        straight.add_segment(segment_visits(segment, tuple(visit)))  # type: ignore[arg-type]
    random.shuffle(visited)
    for segment, *visit in visited:
        shuffled.add_segment(segment_visits(segment, tuple(visit)))  # type: ignore[arg-type]
    for product_id in straight:
        restored.restore(cast(TrendingState, decode("trending-state", encode(straight.snapshot(product_id)))))
    for segment in straight.segments():
        expected = {kind: items for kind, _, items in straight.lists([segment])}
        for other in (shuffled, restored):
            for kind, _, items in other.lists([segment]):
                assert {item.product_id: item.score for item in items} == pytest.approx(
                    {item.product_id: item.score for item in expected[kind]}
                )
