from __future__ import annotations

import re
from typing import Any

import pytest

from consumers.experiments import HOLDOUT, Experiment

VARIANTS = [
    {"name": "a", "share": 0.5},
    {"name": "b", "share": 0.5, "replace": {"viewed-next": "trending"}},
]


def experiment(variant: str) -> Experiment:
    """One whose variants are dealt so that the user of the demonstration sees this one."""
    made = (
        Experiment.model_validate(
            {"name": f"t{n}", "placements": ["product"], "holdout": 0.3, "variants": VARIANTS}
        )
        for n in range(100)
    )
    return next(one for one in made if one.variant_of("anna") == variant)


@pytest.fixture(params=["a", "b", HOLDOUT])
def variant(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def experiments(variant: str) -> tuple[Experiment, ...]:
    return (experiment(variant),)


def test_shelves_name_their_variant_and_are_found_by_what_they_stand_for(pages: Any, variant: str) -> None:
    pages.send("/shopper", subject="anna")
    html = pages.get("/product", params={"id": "a"}).text
    shelves = dict(re.findall(r'data-kind="([a-z-]+)".*?data-variant="([^"]*)"', html))
    assert set(shelves) == {"similar", "viewed-next", "bought-together", "for-you"}
    assert {label.partition(":")[2] for label in shelves.values()} == {variant}
    titles = re.findall(r"<h2[^>]*>([^<]*)</h2>", html)
    assert ("Trending now" in titles) == (variant == "b")
    assert ("Viewed next" in titles) == (variant == "a")
    # Asked for again as what it stands for, a shelf stays the variant's.
    again = pages.get("/shelf", params={"kind": "viewed-next", "subject": "a", "placement": "product"}).text
    assert f':{variant}"' in again
    assert 'data-kind="viewed-next"' in again
    assert 'data-variant=""' in pages.get("/").text
