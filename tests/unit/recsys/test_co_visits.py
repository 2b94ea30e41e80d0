from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.co_visits import ActionWeights, CoVisitBatch, PairRules
from recsys.histories import ADDED, History, HistoryEvent, HistoryRules
from schemas.events import Action, CoVisits, Relation

RULES = PairRules(max_companions=50)
KEPT = HistoryRules()

events = st.lists(
    st.builds(
        HistoryEvent,
        event_time_ms=st.integers(0, 3_000_000),
        event_hash=st.integers(-1_000, 1_000),
        product_id=st.sampled_from("abcd"),
        action=st.sampled_from([0, 1, 2]),
        quantity=st.sampled_from([-1.0, 1.0, 3.0]),
    ),
    max_size=15,
    unique_by=lambda event: event.event_hash,
)


def gathered(taken: list[HistoryEvent], batch_size: int = 1_000) -> list[CoVisits]:
    history, messages = History(), []
    for start in range(0, len(taken), batch_size):
        batch = CoVisitBatch(RULES)
        for event in taken[start : start + batch_size]:
            if history.add(event, KEPT) == ADDED:
                batch.add(event, history, ("cause", 1))
        messages += batch.messages()
    return messages


def sums(messages: list[CoVisits]) -> dict[tuple[str, str, int], float]:
    totals: defaultdict[tuple[str, str, int], float] = defaultdict(float)
    for message in messages:
        columns = (message.companion_ids, message.companion_relations, message.companion_strengths)
        for companion, relation, strength in zip(*columns, strict=True):
            totals[message.product_id, companion, int(relation)] += strength
    return dict(totals)


def visits(messages: list[CoVisits]) -> int:
    return sum(len(message.visit_actions) for message in messages)


@given(events, st.data())
def test_sums_do_not_depend_on_the_order_of_arrival(taken: list[HistoryEvent], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(taken))
    assert sums(gathered(shuffled)) == pytest.approx(sums(gathered(taken)), abs=1e-9)


@given(events, st.integers(1, 4))
def test_a_batch_equals_one_by_one_and_replay_adds_nothing(taken: list[HistoryEvent], size: int) -> None:
    whole, parts = gathered(taken), gathered([*taken, *taken], size)
    assert sums(parts) == pytest.approx(sums(whole), abs=1e-9)
    assert visits(whole) == visits(parts) == len(taken)


def test_a_pair_of_views_is_told_to_both_products() -> None:
    views = [HistoryEvent(0, 1, "a", Action.VIEW, 1.0), HistoryEvent(60_000, 2, "b", Action.VIEW, 1.0)]
    assert sums(gathered(views)) == {("a", "b", Relation.AFTER): 0.5, ("b", "a", Relation.BEFORE): 0.5}


def test_returns_make_no_pairs() -> None:
    kept = HistoryEvent(0, 1, "a", Action.PURCHASE, 1.0)
    assert sums(gathered([kept, HistoryEvent(0, 2, "b", Action.PURCHASE, -1.0)])) == {}


def test_quantity_weighs_with_diminishing_returns_and_a_return_takes_back() -> None:
    weights = ActionWeights()
    assert [weights.of(Action.PURCHASE, units) for units in (1.0, 2.0, 4.0, -2.0)] == [3.0, 6.0, 9.0, -6.0]
    assert weights.of(Action.VIEW, 1.0) == 1.0
    assert weights.of(Action.CART_ADD, 0.5) == 1.0
