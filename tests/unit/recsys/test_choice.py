from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.for_you import ForYou, ScoringRules
from recsys.histories import History, HistoryEvent, HistoryRules
from recsys.scoring.choice import ChoiceRules
from recsys.scoring.new_products import ExplorationRules
from recsys.scoring.query import QueryRules
from schemas.codec import encode
from schemas.events import Action, ItemState, Kind, ListedProduct, ProductCreated, Reason, RecommendationUpdated

DAY_MS = 86_400_000
NOW_MS = 100 * DAY_MS
NAMES = ["viewed_next", "bought_together", "similar", "sessions", "factors", "trending", "popular", "segment"]
ONLY_POPULAR = {name: float(name == "popular") for name in NAMES}
SHOP = {
    "hat1": ("hats", "Acme"),
    "hat2": ("hats", "Bolt"),
    "hat3": ("hats", "Acme"),
    "mug1": ("mugs", "Acme"),
    "mug2": ("mugs", ""),
    "odd1": ("", ""),
    "odd2": ("", ""),
}
POPULAR = list(SHOP)
"""In this order."""


def product(product_id: str, category: str, brand: str, at_ms: int = 0) -> ProductCreated:
    return ProductCreated(product_id, at_ms, category=category, attributes={"brand": brand})


def core(rules: ChoiceRules, popular: list[str] = POPULAR) -> ForYou:
    for_you = ForYou(QueryRules(), ScoringRules(choice=rules), ONLY_POPULAR)
    for product_id, (category, brand) in SHOP.items():
        for_you.put_product(product_id, product(product_id, category, brand))
    listed = [ListedProduct(product_id, 1.0, Reason.POPULAR) for product_id in popular]
    for_you.put_list(Kind.POPULAR, RecommendationUpdated(Kind.POPULAR, "", 1, listed, 1, "x", 1))
    return for_you


def history(*bought: tuple[str, int], now_ms: int = NOW_MS) -> History:
    made = History()
    for number, (product_id, at_ms) in enumerate(bought):
        made.add(HistoryEvent(at_ms, number, product_id, Action.PURCHASE, 1.0), HistoryRules())
    made.add(HistoryEvent(now_ms, 99, "elsewhere", Action.VIEW, 1.0), HistoryRules())
    return made


def ids(listed: list[ListedProduct]) -> list[str]:
    return [item.product_id for item in listed]


def test_without_rules_a_list_is_the_best_products_in_order() -> None:
    assert not ChoiceRules().chooses
    assert ids(core(ChoiceRules()).recommend(history(), 4)) == POPULAR[:4]


def test_at_most_so_many_of_a_category_and_of_a_brand() -> None:
    by_category = core(ChoiceRules(max_per_category=1)).recommend(history(), 4)
    assert ids(by_category) == ["hat1", "mug1", "odd1", "odd2"], "no category is no kind"
    by_brand = core(ChoiceRules(max_per_brand=1)).recommend(history(), 4)
    assert ids(by_brand) == ["hat1", "hat2", "mug2", "odd1"]


def test_what_looks_like_a_product_further_up_steps_back() -> None:
    for_you = core(ChoiceRules(variety=0.3))
    alike = [ListedProduct(product_id, 0.9, Reason.LOOKS_LIKE) for product_id in ("hat2", "hat3")]
    looks = RecommendationUpdated(Kind.SIMILAR, "hat1", 1, alike, 1, "x", 1)
    for_you.tables.put_looks("hat1", encode(looks))
    assert ids(for_you.recommend(history(), 4)) == ["hat1", "mug1", "mug2", "odd1"]


def test_what_is_fresh_is_worth_more_and_less_with_every_half_life() -> None:
    for_you = core(ChoiceRules(freshness=1.0, freshness_half_life_ms=DAY_MS))
    for_you.put_product("hat2", product("hat2", "hats", "Bolt", NOW_MS))
    scores = {item.product_id: item.score for item in for_you.recommend(history(), 9)}
    later = {item.product_id: item.score for item in for_you.recommend(history(now_ms=NOW_MS + DAY_MS), 9)}
    old = {item.product_id: item.score for item in core(ChoiceRules()).recommend(history(), 9)}
    assert scores["hat2"] == pytest.approx(2.0 * old["hat2"])
    assert later["hat2"] == pytest.approx(1.5 * old["hat2"])
    assert scores["mug1"] == pytest.approx(old["mug1"])


def test_nothing_of_a_category_that_was_bought_from_of_late() -> None:
    rules = ChoiceRules(bought_category_ms=7 * DAY_MS)
    recent, long_ago = ("hat1", NOW_MS - DAY_MS), ("hat1", NOW_MS - 8 * DAY_MS)
    assert ids(core(rules).recommend(history(recent), 9)) == ["mug1", "mug2", "odd1", "odd2"]
    assert "hat2" in ids(core(rules).recommend(history(long_ago), 9))
    returned = history(recent)
    returned.add(HistoryEvent(NOW_MS - 1, 98, "hat1", Action.PURCHASE, -1.0), HistoryRules())
    assert "hat2" in ids(core(rules).recommend(returned, 9))


EXPLORES = ChoiceRules(exploration=ExplorationRules(slots=1, max_age_ms=7 * DAY_MS, measured_visits=5.0))


def exploring(*new: str) -> ForYou:
    for_you = core(EXPLORES)
    for product_id in new:
        for_you.put_product(product_id, product(product_id, "hats", "", NOW_MS - DAY_MS))
    return for_you


def tried(for_you: ForYou, subject: str, made: History | None = None, n: int = 4) -> list[str]:
    listed = for_you.recommend(made or history(), n, subject=subject)
    return [item.product_id for item in listed if item.reason == Reason.NEW]


def test_a_new_product_has_a_place_until_it_is_measured_or_time_is_up() -> None:
    for_you = exploring("new1")
    assert ids(for_you.recommend(history(), 4)) == ["hat1", "hat2", "new1", "hat3"]
    assert tried(for_you, "u", history(now_ms=NOW_MS + 7 * DAY_MS)) == []
    assert tried(for_you, "u", history(("new1", NOW_MS - 1))) == [], "bought"

    def row(visits: float) -> bytes:
        return encode(ItemState("new1", 0, 2.0, 2.0 * visits, 0.0, (), (), (), (), 1, (), (), 1))

    for_you.put_row("new1", row(4.9))
    assert tried(for_you, "u") == ["new1"]
    for_you.put_row("new1", row(5.0))
    assert tried(for_you, "u") == []
    for_you.put_product("new2", product("new2", "hats", "", NOW_MS))
    assert tried(for_you, "u") == ["new2"]
    for_you.put_product("new2", replace(product("new2", "hats", "", NOW_MS), in_stock=False))
    assert tried(for_you, "u") == []
    for_you.put_product("new2", None)
    assert tried(for_you, "u") == []


def test_a_newcomer_of_whom_nothing_is_known_is_shown_new_products_too() -> None:
    assert tried(exploring("new1"), "u", History()) == ["new1"]


def test_every_new_product_has_its_share_of_the_shoppers() -> None:
    for_you = exploring("new1", "new2", "new3", "new4")
    counts = Counter(product_id for number in range(400) for product_id in tried(for_you, f"u{number}"))
    assert sum(counts.values()) == 400
    assert min(counts.values()) > 60
    assert len(counts) == 4


@settings(max_examples=25)
@given(
    st.permutations(POPULAR),
    st.builds(
        ChoiceRules,
        max_per_category=st.integers(0, 2),
        max_per_brand=st.integers(0, 2),
        variety=st.sampled_from([0.0, 0.5]),
        freshness=st.sampled_from([0.0, 1.0]),
        exploration=st.builds(ExplorationRules, slots=st.integers(0, 2)),
    ),
    st.integers(1, 9),
)
def test_a_list_keeps_its_rules_is_the_same_each_time_and_holds_nothing_twice(
    popular: list[str], rules: ChoiceRules, n: int
) -> None:
    for_you = core(rules, popular)
    for_you.put_product("new1", product("new1", "", "", NOW_MS))
    listed = for_you.recommend(history(), n, subject="u")
    assert listed == for_you.recommend(history(), n, subject="u")
    found = ids(listed)
    assert len(found) == len(set(found)) <= n
    chosen = [item.product_id for item in listed if item.reason != Reason.NEW]
    categories, brands = Counter(SHOP[one][0] for one in chosen), Counter(SHOP[one][1] for one in chosen)
    del categories[""], brands[""]
    assert not rules.max_per_category or max(categories.values(), default=0) <= rules.max_per_category
    assert not rules.max_per_brand or max(brands.values(), default=0) <= rules.max_per_brand
