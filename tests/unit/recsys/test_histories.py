from __future__ import annotations

import random
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.histories import (
    ADDED,
    DUPLICATE,
    EXPIRED,
    History,
    HistoryEvent,
    HistoryRules,
    event_hash,
    history_event,
)
from schemas.codec import decode, encode
from schemas.events import Action, CartAdd, PdpView, Purchase, UserHistory

RULES = HistoryRules(max_events=4, retention_ms=50)


def event(number: int, at_ms: int, product_id: str = "p", action: int = 0, quantity: float = 1.0) -> HistoryEvent:
    return HistoryEvent(at_ms, number, product_id, action, quantity)


events = st.lists(
    st.builds(
        event,
        st.integers(-(2**63), 2**63 - 1),
        st.integers(0, 100),
        st.sampled_from("abc"),
        st.sampled_from(Action).map(int),
        st.sampled_from((1.0, 2.5)),
    ),
    unique_by=lambda one: one.event_hash,
    max_size=12,
)


def filled(arrivals: list[HistoryEvent], rules: HistoryRules = RULES) -> History:
    history = History()
    for one in arrivals:
        history.add(one, rules)
    return history


@given(arrivals=events, seed=st.randoms(use_true_random=False))
def test_a_history_is_the_latest_events_whatever_their_order(
    arrivals: list[HistoryEvent], seed: random.Random
) -> None:
    ordered = sorted(arrivals)
    kept = [one for one in ordered if one.event_time_ms >= ordered[-1].event_time_ms - RULES.retention_ms]
    shuffled = list(arrivals)
    seed.shuffle(shuffled)
    assert list(filled(shuffled)) == kept[-RULES.max_events :]
    assert list(filled(shuffled).latest()) == kept[-RULES.max_events :][::-1]


@given(arrivals=events)
def test_replay_changes_nothing(arrivals: list[HistoryEvent]) -> None:
    history = filled(arrivals)
    before = history.snapshot("u")
    assert {history.add(one, RULES) for one in arrivals} <= {DUPLICATE, EXPIRED}
    assert history.snapshot("u") == before


@given(arrivals=events, listed=st.lists(st.sampled_from("abc"), unique=True), revision=st.integers(0, 2**40))
def test_a_snapshot_goes_over_the_wire_and_back(
    arrivals: list[HistoryEvent], listed: list[str], revision: int
) -> None:
    history = filled(arrivals)
    history.listed, history.revision = tuple(listed), revision
    snapshot = history.snapshot("u")
    state = decode("interaction-state", encode(snapshot))
    assert isinstance(state, UserHistory)
    again = History.of_state(state)
    assert list(again) == list(history)
    assert (again.listed, again.revision) == (history.listed, history.revision)
    assert encode(again.snapshot("u")) == encode(snapshot)


def test_what_comes_twice_or_too_late_changes_nothing() -> None:
    history = filled([event(1, 100), event(2, 60)])
    assert history.add(event(2, 99), RULES) == DUPLICATE
    assert history.add(event(3, 49), RULES) == EXPIRED
    assert history.add(event(3, 50), RULES) == ADDED
    assert history.add(event(4, 101), RULES) == ADDED
    assert [one.event_hash for one in history] == [2, 1, 4]
    assert history.add(event(5, 101), RULES) == ADDED
    assert history.add(event(6, 59), RULES) == EXPIRED, "the history is full, and this would be the oldest"


@given(earlier=events, arrivals=events)
def test_what_has_room_drops_nothing(earlier: list[HistoryEvent], arrivals: list[HistoryEvent]) -> None:
    history = filled(earlier)
    before = list(history)
    if history.has_room(arrivals, RULES):
        for one in arrivals:
            history.add(one, RULES)
        assert {*before, *arrivals} == set(history)


@given(earlier=events, arrivals=events, in_order=st.booleans())
def test_events_added_together_are_added_one_by_one(
    earlier: list[HistoryEvent], arrivals: list[HistoryEvent], in_order: bool
) -> None:
    arrivals = sorted(arrivals) if in_order else arrivals
    together, singly = filled(earlier), filled(earlier)
    assert together.add_all(arrivals, RULES) == [singly.add(one, RULES) for one in arrivals]
    assert list(together) == list(singly)


def test_equal_times_are_ordered_by_hash() -> None:
    assert [one.event_hash for one in filled([event(3, 5), event(-2, 5), event(1, 5)])] == [-2, 1, 3]


def test_a_copy_goes_its_own_way() -> None:
    history = filled([event(1, 1)])
    other = history.copy()
    other.add(event(2, 2), RULES)
    assert (len(history), len(other)) == (1, 2)


def test_columns_between_two_times_include_both() -> None:
    history = filled([event(1, 10, "a"), event(2, 20, "b"), event(3, 20, "c"), event(4, 30, "d")])
    times, hashes, product_ids, actions, quantities = history.between(20, 29)
    assert (times.tolist(), hashes.tolist(), product_ids) == ([20, 20], [2, 3], ["b", "c"])
    assert (list(actions), quantities.tolist()) == ([0, 0], [1.0, 1.0])
    assert history.oldest_ms() == 10


@pytest.mark.parametrize(
    ("purchases", "bought"),
    [
        ([("a", 1.0)], {"a"}),
        ([("a", 2.0), ("a", -1.0)], {"a"}),
        ([("a", 1.0), ("a", -1.0), ("b", 1.0)], {"b"}),
        ([("a", -1.0)], set()),
    ],
)
def test_what_is_returned_was_not_bought(purchases: list[tuple[str, float]], bought: set[str]) -> None:
    arrivals = [
        event(number, number, product_id, Action.PURCHASE, quantity)
        for number, (product_id, quantity) in enumerate(purchases)
    ]
    assert filled([*arrivals, event(9, 9, "viewed")]).bought() == bought


def test_an_event_is_kept_by_its_hash_time_product_action_and_quantity() -> None:
    who = ("e1", 7, "u", None, "p")
    assert history_event(PdpView(*who), Action.VIEW) == (7, event_hash("e1"), "p", 0, 1.0)
    assert history_event(CartAdd(*who, 2.0), Action.CART_ADD) == (7, event_hash("e1"), "p", 1, 2.0)
    assert history_event(Purchase(*who, -3.0), Action.PURCHASE) == (7, event_hash("e1"), "p", 2, -3.0)


def test_hashes_are_64_signed_bits_of_the_id() -> None:
    hashes = [event_hash(f"event-{number}") for number in range(2_000)]
    assert len(set(hashes)) == 2_000
    signs = {sign: len(list(same)) for sign, same in groupby(sorted(one < 0 for one in hashes))}
    assert min(signs.values()) > 800
    assert all(-(2**63) <= one < 2**63 for one in hashes)
    assert event_hash("é") == event_hash("é")
