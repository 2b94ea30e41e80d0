from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from consumers.experiments import HOLDOUT, Experiment
from schemas.codec import decode
from storefront.api.settings import ApiSettings

EXPERIMENT = Experiment.model_validate(
    {
        "name": "test",
        "placements": ["pdp"],
        "holdout": 0.3,
        "variants": [
            {"name": "a", "share": 0.5},
            {"name": "b", "share": 0.5, "replace": {"viewed-next": "bought-together"}},
        ],
    }
)


@pytest.fixture
def experiments() -> tuple[Experiment, ...]:
    return (EXPERIMENT,)


@pytest.fixture
def api_settings(tmp_path: Path, api_settings: ApiSettings) -> ApiSettings:
    rules = tmp_path / "rules.toml"
    rules.write_text('[[rule]]\nname = "no d"\naction = "hide"\nproducts = ["d"]\nvariants = ["test:b"]\n')
    return api_settings.model_copy(update={"rules_file": rules})


def shopper_of(variant: str) -> str:
    return next(f"u{n}" for n in range(1_000) if EXPERIMENT.variant_of(f"u{n}") == variant)


@pytest.fixture
def lists(api: Any, shop: Any) -> Any:
    shop.products(*"abcdefghij")
    shop.listed("viewed-next", "a", "d c b")
    shop.listed("bought-together", "a", "d e f")
    shop.listed("popular", "", "a g h i j", reason="popular")

    def ask(path: str = "/products/a/lists", **params: Any) -> Any:
        given = {"placement": "pdp", "n": 2, "kinds": "viewed-next", **params}
        return [
            (one["kind"], one["variant"], "".join(item["product_id"] for item in one["items"]))
            for one in api.get(path, params=given).json()["lists"]
        ]

    return ask


def test_each_shopper_sees_one_variant_and_rules_that_hold_for_it_alone(lists: Any) -> None:
    assert lists(user=shopper_of("a")) == [("viewed-next", "test:a", "dc")]
    assert lists(user=shopper_of("b")) == [("bought-together", "test:b", "ef")]
    assert lists(session=shopper_of("b")) == lists(user=shopper_of("b"))
    assert lists() == [("viewed-next", "", "dc")]
    assert lists(user=shopper_of("b"), placement="home") == [("viewed-next", "", "dc")]
    assert lists("/lists", product="a", user=shopper_of("b")) == lists(user=shopper_of("b"))


def test_who_is_held_out_sees_what_is_popular_and_nothing_twice(lists: Any) -> None:
    found = lists(user=shopper_of(HOLDOUT), kinds="viewed-next,bought-together")
    # The page's own product is popular too, but is not shown on its page.
    assert found == [("popular", "test:holdout", "gh"), ("popular", "test:holdout", "ij")]


def test_a_users_own_lists_need_no_name_besides_the_path(lists: Any) -> None:
    (found,) = lists(f"/users/{shopper_of('a')}/lists", kinds="popular")
    assert found == ("popular", "test:a", "ag")
    (found,) = lists(f"/sessions/{shopper_of('a')}/lists", kinds="popular")
    assert found[1] == "test:a"


def test_impressions_and_clicks_carry_variant_and_reason_on(api: Any, fake_kafka: Any) -> None:
    event = {"user_id": "u", "product_id": "p", "recommendation_id": "similar.1.ab", "variant": "test:b"}
    event["reason"] = "looks-like"
    assert (
        api.post("/events", json=[{"type": name, **event} for name in ("impression", "click")]).status_code == 202
    )
    sent: list[Any] = [decode(topic, value) for topic, _, value in fake_kafka.sent]
    assert [(shown.variant, shown.reason) for shown in sent] == [("test:b", "looks-like")] * 2
