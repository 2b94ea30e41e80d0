from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from storefront.api.settings import ApiSettings


@pytest.fixture
def rules_file(tmp_path: Path) -> Path:
    path = tmp_path / "rules.toml"
    path.write_text(
        """
        [[rule]]
        name = "no d"
        action = "hide"
        products = ["d"]
        [[rule]]
        name = "s on top"
        action = "pin"
        position = 1
        products = ["s", "gone"]
        placements = ["pdp"]
        [[never_together]]
        name = "mugs are not for sofas"
        categories = ["mugs", "sofas"]
        kinds = ["viewed-next"]
        """
    )
    return path


@pytest.fixture
def api_settings(rules_file: Path, api_settings: ApiSettings) -> ApiSettings:
    return api_settings.model_copy(update={"rules_file": rules_file})


def test_rules_reach_every_part_of_an_answer_and_are_named(api: Any, shop: Any) -> None:
    shop.products("a", "b", "d")
    shop.products("s", "t", category="sofas")
    shop.listed("similar", "a", "d b")
    shop.listed("viewed-next", "a", "s b")
    shop.listed("popular", "", "d t b s", reason="popular")
    found = api.get("/products/a/lists", params={"n": 4, "placement": "pdp"}).json()["lists"]
    similar, viewed_next, _ = ([(item["product_id"], *item["rules"]) for item in one["items"]] for one in found)
    assert similar[:2] == [("s", "pin: s on top"), ("b",)]
    assert [row[0] for row in viewed_next] == ["b"]
    pinned = found[0]["items"][0]
    assert (pinned["reason"], pinned["text"]) == ("pinned", "picked by the shop")
    assert "d" not in {item["product_id"] for one in found for item in one["items"]}
    elsewhere = api.get("/products/a/lists/similar", params={"n": 1}).json()["lists"][0]
    assert [item["product_id"] for item in elsewhere["items"]] == ["b"]


def test_a_pinned_product_that_is_sold_out_is_not_shown(api: Any, shop: Any) -> None:
    shop.products("a", "b")
    shop.sold_out("s", category="sofas")
    shop.listed("similar", "a", "b")
    found = api.get("/products/a/lists/similar", params={"n": 4, "placement": "pdp"}).json()["lists"][0]
    assert [item["product_id"] for item in found["items"]] == ["b"]
