from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.attribution import AttributionRules, Journey, TracedEvent
from recsys.histories import ADDED, DUPLICATE, EXPIRED
from recsys.journey_state import restore, snapshot
from schemas.codec import decode, encode
from schemas.events import CartAdd, Click, Impression, OutcomeState, Purchase, RecommendationOutcome

RULES = AttributionRules(window_ms=10, lateness_ms=1_000, returns_ms=1_000)
SHELF = "similar.3.0a1b2c3d"


def impression(at_ms: int, product: str = "p", shelf: str = SHELF, event_id: str = "", **more: str) -> Impression:
    return Impression(event_id or f"i{at_ms}{product}{shelf}", at_ms, "u", None, product, shelf, **more)


def click(at_ms: int, product: str = "p", shelf: str = SHELF, event_id: str = "", **more: str) -> Click:
    return Click(event_id or f"c{at_ms}{product}{shelf}", at_ms, "u", None, product, shelf, **more)


def cart_add(at_ms: int, product: str = "p") -> CartAdd:
    return CartAdd(f"a{at_ms}{product}", at_ms, "u", None, product)


def purchase(at_ms: int, product: str = "p", quantity: float = 1.0, price: float | None = 5.0) -> Purchase:
    return Purchase(f"b{at_ms}{product}{quantity}", at_ms, "u", None, product, quantity, price)


def outcomes_of(
    events: Iterable[TracedEvent], rules: AttributionRules = RULES
) -> dict[str, RecommendationOutcome]:
    """What readers have in the end, the state put away and taken back after every event."""
    journey, table = Journey(rules), {}
    for event in events:
        journey.add(event)
        for outcome in journey.take_outcomes("u"):
            earlier = table.get(outcome.event_id)
            assert outcome.revision == (1 if earlier is None else earlier.revision + 1)
            table[outcome.event_id] = outcome
        journey = put_away(journey, rules)
    return table


def put_away(journey: Journey, rules: AttributionRules) -> Journey:
    state = decode("outcome-state", encode(snapshot("u", journey)))
    assert isinstance(state, OutcomeState)
    return restore(state, rules)


def without_revisions(table: dict[str, RecommendationOutcome]) -> dict[str, RecommendationOutcome]:
    return {key: replace(outcome, revision=1) for key, outcome in table.items()}


def test_a_purchase_is_put_down_to_the_latest_click_on_the_product_before_it() -> None:
    table = outcomes_of(
        [
            impression(1, placement="home", variant="test:b", reason="looks-like"),
            click(2, placement="home", variant="test:b"),
            click(3, shelf="trending.1.x", placement="cart"),
            click(6, shelf="popular.1.y"),
            purchase(5, quantity=2.0),
        ]
    )
    bought = table["b5p2.0"]
    assert (bought.outcome, bought.kind, bought.placement, bought.click_time_ms) == (
        "purchase",
        "trending",
        "cart",
        3,
    )
    assert (bought.quantity, bought.revenue, bought.impression_time_ms) == (2.0, 10.0, None)
    first = table[f"c2p{SHELF}"]
    assert (first.outcome, first.kind, first.variant, first.reason, first.impression_time_ms) == (
        "click",
        "similar",
        "test:b",
        "looks-like",
        1,
    )


def test_a_late_click_makes_the_outcome_appear_and_a_later_one_replaces_it() -> None:
    journey = Journey(RULES)
    journey.add(purchase(9))
    assert journey.take_outcomes("u") == []
    journey.add(click(2))
    first = {outcome.outcome: outcome for outcome in journey.take_outcomes("u")}
    assert (first["purchase"].revision, first["purchase"].kind) == (1, "similar")
    journey.add(click(5, shelf="for-you.1.z"))
    second = {outcome.outcome: outcome for outcome in journey.take_outcomes("u")}
    assert (second["purchase"].revision, second["purchase"].kind) == (2, "for-you")
    journey.add(click(3, shelf="popular.1.z"))
    assert [outcome.outcome for outcome in journey.take_outcomes("u")] == ["click"]


@pytest.mark.parametrize(
    ("events", "attributed"),
    [
        ([click(2), purchase(12)], True),
        ([click(2), purchase(13)], False),
        ([click(2, product="q"), purchase(3)], False),
        ([click(4), purchase(3)], False),
        ([impression(2), purchase(3)], False),
        ([click(2), cart_add(3)], True),
    ],
)
def test_only_a_click_on_the_product_within_the_window_counts(
    events: Sequence[TracedEvent], attributed: bool
) -> None:
    table = outcomes_of(events)
    assert (events[-1].event_id in table) == attributed


def test_an_impression_says_what_its_click_does_not() -> None:
    for events in ([impression(1, placement="home"), click(4)], [click(4), impression(1, placement="home")]):
        (outcome,) = outcomes_of(events).values()
        assert (outcome.placement, outcome.impression_time_ms) == ("home", 1)
    (outcome,) = outcomes_of([impression(1, shelf="popular.1.x"), click(4)]).values()
    assert outcome.impression_time_ms is None


def test_a_click_that_names_no_shelf_is_of_the_kind_that_it_says() -> None:
    (outcome,) = outcomes_of([click(1, shelf="", kind="trending")]).values()
    assert (outcome.recommendation_id, outcome.kind) == ("", "trending")


def test_a_return_takes_back_the_revenue_of_the_purchase_long_after_the_window() -> None:
    events = [click(1), purchase(2, quantity=3.0), purchase(500, quantity=-2.0)]
    for order in (events, events[::-1]):
        table = outcomes_of(order)
        assert sum(outcome.revenue for outcome in table.values()) == 5.0
        assert table["b500p-2.0"].click_time_ms == 1


def test_a_return_of_what_no_recommendation_led_to_is_no_outcome() -> None:
    assert not outcomes_of([purchase(2), purchase(5, quantity=-1.0)])
    assert list(outcomes_of([purchase(2), click(4), purchase(5, quantity=-1.0)])) == [f"c4p{SHELF}"]


def test_what_is_repeated_or_too_late_changes_nothing() -> None:
    journey = Journey(RULES)
    assert journey.add(click(2_000)) == ADDED
    assert journey.add(click(2_000)) == DUPLICATE
    assert journey.add(impression(2_000)) == ADDED
    assert journey.add(impression(2_000)) == DUPLICATE
    assert journey.add(purchase(999)) == EXPIRED
    assert journey.add(purchase(1_000)) == ADDED


def test_a_shopper_takes_a_bounded_place() -> None:
    rules = AttributionRules(10, 100, 100, max_impressions=3, max_clicks=2, max_actions=2)
    journey = Journey(rules)
    for at_ms in range(10, 20):
        journey.add(impression(at_ms))
        journey.add(click(at_ms))
        journey.add(purchase(at_ms))
    assert (len(journey.sights), len(journey.clicks), len(journey.actions)) == (3, 2, 2)
    assert [journey.add(event) for event in (impression(9), click(9), purchase(9))] == [EXPIRED] * 3
    journey.add(purchase(1_000))
    assert (journey.sights, journey.clicks, len(journey.actions)) == ([], [], 1)


_times = st.integers(0, 30)
_products = st.sampled_from("pq")
_shelves = st.sampled_from(["similar.1.a", "for-you.2.b", ""])
_places = st.fixed_dictionaries(
    {"placement": st.sampled_from(["", "home", "cart"]), "reason": st.sampled_from(["", "looks-like"])}
)
_events = st.one_of(
    st.builds(lambda t, p, s, m: impression(t, p, s, **m), _times, _products, _shelves, _places),
    st.builds(lambda t, p, s, m: click(t, p, s, **m), _times, _products, _shelves, _places),
    st.builds(cart_add, _times, _products),
    st.builds(purchase, _times, _products, st.sampled_from([2.0, 1.0, -1.0])),
)
_scripts = st.lists(_events, max_size=14, unique_by=lambda event: event.event_id)


@given(_scripts, st.randoms(use_true_random=False))
def test_the_order_of_arrival_and_repetition_do_not_matter(script: list[TracedEvent], random: Random) -> None:
    shuffled = [*script, *script[:5]]
    random.shuffle(shuffled)
    assert without_revisions(outcomes_of(shuffled)) == without_revisions(outcomes_of(script))


@given(_scripts)
def test_a_batch_equals_its_events_one_by_one(script: list[TracedEvent]) -> None:
    journey = Journey(RULES)
    for event in script:
        journey.add(event)
    batch = {outcome.event_id: outcome for outcome in journey.take_outcomes("u")}
    assert without_revisions(batch) == without_revisions(outcomes_of(script))
    assert set(journey.published()) == batch.keys()


@given(_scripts)
def test_a_journey_is_the_same_after_it_was_put_away(script: list[TracedEvent]) -> None:
    journey = Journey(RULES)
    for event in script:
        journey.add(event)
    journey.take_outcomes("u")
    assert snapshot("u", put_away(journey, RULES)) == snapshot("u", journey)
