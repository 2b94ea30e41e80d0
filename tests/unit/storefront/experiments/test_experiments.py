from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from consumers.configuration import load
from consumers.experiments import HOLDOUT, Experiment
from consumers.stages import make_stage
from recsys.experiments import dealt
from schemas.errors import ConfigurationError
from schemas.events import Kind
from storefront.configuration import load_storefront
from storefront.experiments.assignment import assign
from storefront.shelf_items import ShelfRequest

AB: dict[str, Any] = {"name": "test", "variants": [{"name": "a", "share": 0.5}, {"name": "b", "share": 0.5}]}
REPLACING: dict[str, Any] = {
    **AB,
    "variants": [{"name": "a", "share": 0.5}, {"name": "b", "share": 0.5, "replace": {"similar": "viewed-next"}}],
}
BLENDING: dict[str, Any] = {
    "variants": [{"name": "a", "share": 0.5}, {"name": "b", "share": 0.5, "blend": {"sessions": 2.0}}],
    "holdout": 0.2,
}


def experiment(**more: Any) -> Experiment:
    return Experiment.model_validate({**AB, **more})


def shopper_of(one: Experiment, variant: str) -> str:
    return next(f"u{n}" for n in range(1_000) if one.variant_of(f"u{n}") == variant)


def test_shoppers_are_dealt_by_the_shares_and_stay_where_they_are() -> None:
    variants = [{"name": "a", "share": 0.75}, {"name": "b", "share": 0.25}]
    one = experiment(variants=variants, holdout=0.2)
    assert one.shares() == pytest.approx({"a": 0.6, "b": 0.2, HOLDOUT: 0.2})
    dealt = Counter(one.variant_of(f"shopper-{n}") for n in range(10_000))
    for name, share in one.shares().items():
        deviation = (share * (1 - share) * 10_000) ** 0.5
        assert abs(dealt[name] - share * 10_000) < 4 * deviation
    # Known answers: another version that deals shoppers anew would spoil the experiments that are under way.
    assert [experiment().variant_of(f"u{n}") for n in range(6)] == list("bbaabb")


def test_another_experiment_deals_the_same_shoppers_anew() -> None:
    one, other = experiment(), experiment(name="other")
    same = sum(one.variant_of(f"u{n}") == other.variant_of(f"u{n}") for n in range(2_000))
    assert 900 < same < 1_100


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"name": "a:b"}, "string_pattern_mismatch"),
        ({"variants": [{"name": "a", "share": 1.0}]}, "needs a second variant, or a holdout"),
        ({"variants": [{"name": "a", "share": 0.5}, {"name": "b", "share": 0.4}]}, "add up to 0.9, not to 1"),
        ({"variants": [{"name": "a", "share": 0.5}] * 2}, "a name of its own"),
        ({"variants": [{"name": "holdout", "share": 0.5}, {"name": "b", "share": 0.5}]}, "other than holdout"),
        ({"control": "c"}, "control is c, which is no variant"),
        ({"holdout": 1.0}, "less than 1"),
        (
            {"variants": [{"name": "a", "share": 1, "replace": {"for-you": "similar"}}], "holdout": 0.1},
            "not about",
        ),
        ({"starts_at": "2026-11-01T00:00:00"}, "give the offset from UTC too"),
        ({"variants": [{"name": "a", "share": 1, "blend": {"magic": 1.0}}], "holdout": 0.1}, "no scorer magic"),
        ({**BLENDING, "kinds": ["similar"]}, "a shopper has one for-you list"),
        ({**BLENDING, "placements": ["home"]}, "a shopper has one for-you list"),
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("string_pattern_mismatch", "should match pattern")):
        experiment(**wrong)


@pytest.mark.parametrize(
    ("first", "second", "apart"),
    [
        ({}, {}, False),
        ({"kinds": ["similar"]}, {"kinds": ["trending"]}, True),
        ({"kinds": ["similar"]}, {"placements": ["home"]}, False),
        ({"placements": ["home", "cart"]}, {"placements": ["pdp"]}, True),
        ({"ends_at": "2026-11-01T00:00:00Z"}, {"starts_at": "2026-11-01T00:00:00Z"}, True),
        ({"ends_at": "2026-11-02T00:00:00Z"}, {"starts_at": "2026-11-01T00:00:00Z"}, False),
    ],
)
def test_a_shelf_is_part_of_one_experiment_at_most(
    first: dict[str, Any], second: dict[str, Any], apart: bool, tmp_path: Path
) -> None:
    one, other = experiment(**first), experiment(name="other", **second)
    assert one.overlaps(other) == other.overlaps(one) == (not apart)


def test_the_configuration_names_what_is_wrong_with_an_experiment(tmp_path: Path) -> None:
    text = (
        '[[experiments]]\nname = "{}"\nvariants = [{{ name = "a", share = 0.4 }}, {{ name = "b", share = 0.6 }}]\n'
    )
    file = tmp_path / "recsys.toml"
    file.write_text(text.format("x"))
    assert load_storefront({}, tmp_path).experiments[0].control_name == "a"
    file.write_text(text.format("x") + text.format("y"))
    with pytest.raises(ConfigurationError, match=r"experiments: .*x and y are about the same shelves"):
        load_storefront({}, tmp_path)


@pytest.mark.parametrize(
    ("asked", "replace", "shown"),
    [
        (("similar", "p"), {"similar": "viewed-next"}, ("viewed-next", "p")),
        (("similar", "p"), {"similar": "for-you"}, ("for-you", "SHOPPER")),
        (("similar", "p"), {"similar": "trending"}, ("trending", "")),
        (("trending", "mugs"), {"trending": "popular"}, ("popular", "mugs")),
        (("popular", ""), {"trending": "popular"}, ("popular", "")),
    ],
)
def test_a_variant_shows_another_kind_in_place(
    asked: tuple[str, str], replace: dict[str, str], shown: tuple[str, str]
) -> None:
    variants = [{"name": "a", "share": 0.5}, {"name": "b", "share": 0.5, "replace": replace}]
    one = experiment(variants=variants, placements=["pdp"])
    request, shopper = ShelfRequest(*asked, "mugs"), shopper_of(one, "b")
    (found,) = assign([one], [request], "pdp", shopper, 0)
    expected = (shown[0], shopper if shown[1] == "SHOPPER" else shown[1])
    assert (found.request.kind, found.request.subject, found.variant) == (*expected, "test:b")
    assert found.asked is request
    assert assign([one], [request], "home", shopper, 0)[0] == (request, request, "")
    assert assign([one], [request], "pdp", "", 0)[0] == (request, request, "")
    (control,) = assign([one], [request], "pdp", shopper_of(one, "a"), 0)
    assert control == (request, request, "test:a")


def test_the_schedule_holds() -> None:
    one = experiment(starts_at="1970-01-01T00:00:10Z", ends_at="1970-01-01T00:00:20Z")
    labels = [assign([one], [ShelfRequest(Kind.TRENDING)], "", "u", at_ms)[0].variant for at_ms in (9_999, 20_000)]
    assert labels == ["", ""]
    assert assign([one], [ShelfRequest(Kind.TRENDING)], "", "u", 10_000)[0].variant.startswith("test:")


def test_lists_are_dealt_as_shelves_are_named() -> None:
    one = experiment(**BLENDING, kinds=["for-you"], starts_at="2026-11-01T00:00:00+01:00")
    trial = one.trial()
    assert trial.blends == {"b": {"sessions": 2.0}}
    assert (trial.starts_ms, trial.ends_ms > 2**46) == (1_793_487_600_000, True)
    for number in range(50):
        (shown,) = assign([one], [ShelfRequest("for-you", f"u{number}")], "home", f"u{number}", trial.starts_ms)
        assert shown.variant == f"test:{dealt(trial.name, trial.shares, f'u{number}')}"


def test_the_stage_that_makes_lists_knows_the_experiments(tmp_path: Path) -> None:
    (tmp_path / "recsys.toml").write_text(
        """
        [[experiments]]
        name = "blend-test"
        kinds = ["for-you"]
        variants = [
            { name = "a", share = 0.5 },
            { name = "b", share = 0.5, blend = { similar = 2.0 } },
        ]
        [interactions.blend]
        similar = 0
        """
    )
    configuration = load({}, tmp_path)
    with pytest.raises(ConfigurationError, match="variant b of blend-test weighs similar"):
        make_stage("interactions", configuration)
