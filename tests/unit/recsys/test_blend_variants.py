"""A variant's blend is what its shoppers' lists are made by, and nobody else's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.experiments import BlendTrial, dealt
from recsys.for_you import ForYou, ScoringRules
from recsys.histories import History, HistoryEvent, HistoryRules
from recsys.scoring.query import QueryRules
from schemas.codec import encode
from schemas.errors import ConfigurationError
from schemas.events import Action, ItemState, Kind, ListedProduct, ProductCreated, Reason, RecommendationUpdated

SCORERS = ("viewed_next", "bought_together", "similar", "sessions", "factors", "trending", "popular", "segment")
WEIGHTS = dict.fromkeys(SCORERS, 1.0)
SHARES = {"holdout": 0.2, "a": 0.4, "b": 0.4}


def core(weights: dict[str, float], *trials: BlendTrial) -> ForYou:
    for_you = ForYou(QueryRules(), ScoringRules(), weights, trials)
    for product_id in "abcdp":
        for_you.put_product(product_id, ProductCreated(product_id, 1))
    none = [0.0] * 3
    row = ItemState("p", 0, 1.0, 5.0, 0.0, "cba", [3.0, 2.0, 1.0], none, none, 1, (), (), 1)
    for_you.tables.put_row("p", encode(row))
    popular = [ListedProduct(name, 1.0, Reason.POPULAR) for name in "dcb"]
    for_you.put_list(Kind.POPULAR, RecommendationUpdated(Kind.POPULAR, "", 1, popular, 1, "x", 1))
    return for_you


def history(*times_ms: int) -> History:
    made = History()
    for at_ms in times_ms:
        made.add(HistoryEvent(at_ms, at_ms, "p", Action.VIEW, 1.0), HistoryRules())
    return made


blends = st.dictionaries(st.sampled_from(("viewed_next", "popular")), st.sampled_from([0.0, 0.3, 5.0]))


@given(blends, blends, st.lists(st.text(max_size=8), min_size=1, max_size=8), st.booleans())
def test_lists_are_those_of_a_shop_with_the_variants_weights(
    a: dict[str, float], b: dict[str, float], subjects: list[str], has_begun: bool
) -> None:
    trial = BlendTrial("test", SHARES, {"a": a, "b": b}, starts_ms=5 if has_begun else 10)
    mixed = core(WEIGHTS, trial)
    made = history(1, 7)
    lists = list(mixed.recommend_many([(subject, made) for subject in subjects], 10))
    for subject, listed in zip(subjects, lists, strict=True):
        variant = dealt("test", SHARES, subject)
        blend = {"a": a, "b": b}.get(variant, {}) if has_begun else {}
        assert listed == core({**WEIGHTS, **blend}).recommend(made, 10, subject=subject)
        assert listed == mixed.recommend(made, 10, subject=subject)


def test_a_scorer_that_the_blend_leaves_out_cannot_be_weighed() -> None:
    with pytest.raises(ConfigurationError, match="variant b of test weighs similar, which the blend leaves out"):
        core({**WEIGHTS, "similar": 0.0}, BlendTrial("test", SHARES, {"b": {"similar": 1.0}}))
