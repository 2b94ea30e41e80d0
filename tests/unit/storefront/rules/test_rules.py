from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import Kind, ListedProduct, ProductCreated, Reason, RecommendationUpdated
from storefront.errors import RulesError
from storefront.lists import Listed
from storefront.rules.file import RulesFile, read_rules
from storefront.rules.model import RuleSet, parse_rules
from storefront.rules.preview import preview
from storefront.rules.shelf_rules import ShelfRules
from storefront.shelf_items import ShelfItem
from storefront.shelves import Shelf, ShelfRequest

DAY_MS = 86_400_000


def product(product_id: str, category: str = "mugs", **more: Any) -> ProductCreated:
    return ProductCreated(product_id, 1, product_id.upper(), category, **more)


PRODUCTS = {
    one.product_id: one
    for one in (
        product("a", price=5.0, attributes={"margin": "0.5", "season": "winter"}),
        product("b", price=50.0, attributes={"margin": "a lot"}),
        product("c", "socks"),
        product("d", "sandals", in_stock=False),
        product("e", "sandals"),
    )
}


def items(*ids: str) -> list[ShelfItem]:
    return [ShelfItem(PRODUCTS[i], ListedProduct(i, 1 / rank, "x"), "") for rank, i in enumerate(ids, start=1)]


def holding(rules: str, kind: str = Kind.SIMILAR, placement: str = "", at_ms: int = DAY_MS) -> ShelfRules:
    return ShelfRules.of(parse_rules(rules), kind, placement, at_ms)


def shown(found: list[ShelfItem]) -> str:
    return "".join(item.product.product_id for item in found)


@pytest.mark.parametrize(
    ("condition", "matching"),
    [
        ('products = ["a", "x"]', "a"),
        ('categories = ["socks", "sandals"]', "cde"),
        ('attributes = { season = "winter" }', "a"),
        ("price_max = 10", "a"),
        ("price_min = 10", "b"),
        ("margin_min = 0.4", "a"),
        ('categories = ["mugs"]\nprice_min = 10', "b"),
    ],
)
def test_a_rule_is_about_what_meets_every_condition(condition: str, matching: str) -> None:
    (rule,) = parse_rules(f'[[rule]]\nname = "r"\naction = "hide"\n{condition}').rule
    assert "".join(i for i, one in PRODUCTS.items() if rule.matches(one)) == matching


def test_boosted_products_rise_by_their_factor_and_buried_ones_come_last() -> None:
    rules = holding(
        """
        [[rule]]
        name = "socks first"
        action = "boost"
        factor = 4
        categories = ["socks"]
        [[rule]]
        name = "no cheap mugs"
        action = "bury"
        products = ["a"]
        """
    )
    found = rules.ordered(items("a", "b", "c", "e"))
    assert shown(found) == "cbea"
    assert [item.rules for item in found] == [("boost: socks first",), (), (), ("bury: no cheap mugs",)]


def test_lists_without_scores_are_boosted_by_rank() -> None:
    rules = holding('[[rule]]\nname = "r"\naction = "boost"\nfactor = 1.6\nproducts = ["c"]')
    flat = [item._replace(listed=item.listed._replace(score=0.0)) for item in items("a", "b", "c", "e")]
    assert shown(rules.ordered(flat)) == "acbe"


PIN = '[[rule]]\nname = "p"\naction = "pin"\nposition = 2\nproducts = ["e", "c", "gone"]'


def test_pinned_products_stand_at_their_places_whether_listed_or_not() -> None:
    found = holding(PIN).with_pins(items("a", "b", "c"), PRODUCTS, 3, ["e", "c"])
    assert shown(found) == "aec"
    assert [(item.listed.reason, item.rules) for item in found[1:]] == [
        (Reason.PINNED, ("pin: p",)),
        ("x", ("pin: p",)),
    ]


@given(st.permutations("abc"), st.integers(1, 5), st.sets(st.sampled_from("abce")))
def test_pins_neither_lose_nor_repeat_a_product(listed: list[str], n: int, showable: set[str]) -> None:
    found = shown(holding(PIN).with_pins(items(*listed), PRODUCTS, n, showable))
    assert len(found) == len(set(found)) == min(n, len({*listed} | (showable & set("ce"))))


def test_categories_that_do_not_go_together_are_kept_apart_both_ways() -> None:
    rules = holding('[[never_together]]\nname = "taste"\ncategories = ["socks", "sandals"]')
    assert rules.hides(PRODUCTS["c"], PRODUCTS["e"]) == "taste"
    assert rules.hides(PRODUCTS["e"], PRODUCTS["c"]) == "taste"
    assert rules.hides(PRODUCTS["e"], PRODUCTS["d"]) is None
    assert rules.hides(PRODUCTS["e"], None) is None


SCHEDULED = """
[[rule]]
name = "r"
action = "hide"
products = ["a"]
kinds = ["for-you"]
placements = ["home", "cart"]
starts_at = 1970-01-02T01:00:00+01:00
ends_at = 1970-01-03T00:00:00Z
"""


@pytest.mark.parametrize(
    ("kind", "placement", "at_ms", "holds"),
    [
        ("for-you", "home", DAY_MS, True),
        ("for-you", "home", DAY_MS - 1, False),
        ("for-you", "home", 2 * DAY_MS - 1, True),
        ("for-you", "home", 2 * DAY_MS, False),
        ("for-you", "", DAY_MS, False),
        ("similar", "home", DAY_MS, False),
    ],
)
def test_a_rule_holds_for_its_kinds_placements_and_time(
    kind: str, placement: str, at_ms: int, holds: bool
) -> None:
    rules = holding(SCHEDULED, kind, placement, at_ms)
    assert (rules.hides(PRODUCTS["a"], None) == "r") is holds


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[[rule]", "not TOML"),
        ('[[rule]]\nname = "r"\naction = "hide"', "say which products"),
        ('[[rule]]\nname = "r"\naction = "hide"\nproduct = ["a"]', "rule.1.product: Extra inputs"),
        ('[[rule]]\nname = "r"\naction = "boost"\nproducts = ["a"]', "factor belongs to boost, which needs it"),
        ('[[rule]]\nname = "r"\naction = "pin"\nposition = 1\ncategories = ["a"]', "pin needs products"),
        ('[[rule]]\nname = "r"\naction = "hide"\nproducts = ["a"]\nstarts_at = 2026-01-01T00:00:00', "offset"),
        ('[[rule]]\nname = "r"\naction = "promote"\nproducts = ["a"]', "rule.1.action: Input should be 'pin'"),
        (2 * '[[never_together]]\nname = "r"\ncategories = ["a", "b"]\n', "more than once: r"),
        ('[[never_together]]\nname = "r"\ncategories = ["a"]', "never_together.1.categories"),
    ],
)
def test_a_wrong_file_says_where_and_why(text: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text(text)
    with pytest.raises(RulesError, match=r"rules\.toml: ") as refused:
        read_rules(tmp_path / "rules.toml")
    assert why in str(refused.value)


def test_the_file_is_read_anew_when_it_changes_and_a_wrong_one_changes_nothing(tmp_path: Path) -> None:
    path, now = tmp_path / "rules.toml", [0.0]
    path.write_text('[[rule]]\nname = "one"\naction = "hide"\nproducts = ["a"]')
    file = RulesFile(path, lambda: now[0])
    before = file.current()

    path.write_text('[[rule]]\nname = "two"\naction = "hide"\nproducts = ["a", "b"]')
    assert file.current() is before
    now[0] = 1.5
    assert [rule.name for rule in file.current().rule] == ["two"]

    path.write_text("[[rule]]\n")
    now[0] = 3.0
    assert [rule.name for rule in file.current().rule] == ["two"]
    assert "name" in (file.problem or "")
    path.unlink()
    now[0] = 5.0
    assert [rule.name for rule in file.current().rule] == ["two"]
    assert "No such file" in (file.problem or "")
    path.write_text("")
    now[0] = 7.0
    assert file.current() == RuleSet()
    assert file.problem is None


def test_no_file_is_no_rules() -> None:
    assert RulesFile(None).current() == RuleSet()


def test_a_preview_says_what_moved_and_why() -> None:
    listed = [ListedProduct(i, 1 / rank, Reason.LOOKS_LIKE) for rank, i in enumerate("bec", start=1)]
    found = RecommendationUpdated(Kind.SIMILAR, "a", 1, listed, 1, "x", 1)
    rules = parse_rules(
        """
        [[rule]]
        name = "no sandals"
        action = "hide"
        categories = ["sandals"]
        [[rule]]
        name = "socks"
        action = "boost"
        factor = 10
        categories = ["socks"]
        """
    )
    shelf = Shelf(ShelfRequest(Kind.SIMILAR, "a"), Listed(found, 1))
    rows = preview(shelf, rules, PRODUCTS, "", DAY_MS, 3)
    assert [tuple(row) for row in rows] == [
        ("c", 3, 1, ("boost: socks",)),
        ("b", 1, 2, ()),
        ("e", 2, None, ["hide: no sandals"]),
    ]
