"""The stages on the in-memory log: the same whatever the batches, bounded, and loud when something is refused."""

from __future__ import annotations

import pytest

from consumers.configuration import Configuration
from consumers.flow import BehaviourFlow, EventsRefusedError
from consumers.interactions.settings import BlendSettings, FoldInSettings, InteractionSettings, LearningSettings
from consumers.item_factors.settings import ItemFactorSettings
from recsys.histories import History, history_event
from schemas.events import Action, ListedProduct, PdpView, ProductCreated, Purchase, Reason
from schemas.topics import TOPICS

PRODUCTS = [ProductCreated(product_id, 0) for product_id in "abcde"]
VIEWS = [
    PdpView(f"{user}{n}", 1_000_000 * user + 20_000 * n, f"u{user}", None, product_id)
    for user in range(12)
    for n, product_id in enumerate("abc" if user % 2 else "bde")
]


STEADY = Configuration(
    interactions=InteractionSettings(blend=BlendSettings(factors=0), learning=LearningSettings(rate=0))
)
"""Vectors and weights are learnt step by step, so how far they are depends on the batches."""


def fed(batch: int, configuration: Configuration = STEADY) -> BehaviourFlow:
    flow = BehaviourFlow(configuration)
    flow.feed(PRODUCTS)
    flow.feed(VIEWS, batch)
    return flow


def rounded(items: list[ListedProduct]) -> list[tuple[str, float]]:
    return [(item.product_id, round(item.score, 9)) for item in items]


def test_batches_do_not_matter() -> None:
    whole, single = fed(1_000), fed(1)
    for user in range(12):
        assert rounded(whole.recommend(f"u{user}", 5)) == rounded(single.recommend(f"u{user}", 5))
    assert whole.outcomes("interactions")["pdp-view", "processed"] == len(VIEWS)


def test_factors_are_learnt_along_the_way() -> None:
    weights = BlendSettings(viewed_next=0, bought_together=0, similar=0, sessions=0, trending=0, popular=0)
    interactions = InteractionSettings(blend=weights, fold_in=FoldInSettings(regularisation=0.1))
    flow = fed(10, Configuration(interactions=interactions, item_factors=ItemFactorSettings(regularisation=0.1)))
    assert {item.reason for item in flow.recommend("u1", 5)} == {Reason.YOUR_TASTE}
    assert {item.product_id for item in flow.recommend("u1", 3)} == set("abc")
    assert not flow.recommend("nobody", 5)


def test_the_log_lets_go_of_what_every_stage_has_taken() -> None:
    flow = fed(7)
    assert not any(flow.log.records(topic) for topic in TOPICS)


def test_asking_teaches_nothing() -> None:
    flow = fed(100)
    before = flow.recommend("u0", 5)
    newcomer = flow.recommend("nobody", 5)
    history = History()
    history.add(history_event(VIEWS[0], Action.VIEW), Configuration().interactions.history_rules())
    flow.recommend_for(history, 5)
    assert flow.recommend("u0", 5) == before
    assert flow.recommend("nobody", 5) == newcomer
    assert newcomer, "a newcomer gets what is popular"
    assert {item.product_id for item in flow.recommend("u0", 5, excluded=["a", "c"])} <= set("bde")


def test_a_refused_event_ends_the_run() -> None:
    flow = fed(100)
    flow.log.append("pdp-view", b"u0", b"nonsense")
    with pytest.raises(EventsRefusedError, match="interactions refused 1 events of a batch, the first because: "):
        flow.feed([Purchase("p", 99_000_000, "u0", None, "a")])


def test_progress_counts_events() -> None:
    seen: list[int] = []
    BehaviourFlow(Configuration()).feed(VIEWS, 10, seen.append)
    assert seen == [10, 20, 30, 36]
