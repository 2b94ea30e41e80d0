from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.catalogue import Catalogue
from recsys.histories import History, HistoryEvent, HistoryRules
from recsys.history_store import HistoryStore, pack_history, unpack_history
from recsys.scoring.slots import ProductSlots
from schemas.events import Action, UserHistory

RULES = HistoryRules(max_events=5, retention_ms=1 << 62)
STEPS = (0, 1, 0xFFFF, 0x10000, 0xFFFFFFFF, 1 << 40)

events = st.lists(
    st.tuples(
        st.sampled_from(STEPS),
        st.integers(-(2**63), 2**63 - 1),
        st.sampled_from(["a", "b", "é"]),
        st.sampled_from(Action).map(int),
        st.sampled_from((1.0, 2.5, -1.0)),
    ),
    max_size=8,
    unique_by=lambda row: row[1],
)


@st.composite
def states(draw: st.DrawFn) -> UserHistory:
    history, at_ms = History(), draw(st.sampled_from((0, 5, 1 << 41)))
    for step, event_hash, product_id, action, quantity in draw(events):
        at_ms += step
        history.add(HistoryEvent(at_ms, event_hash, product_id, action, quantity), RULES)
    history.listed = tuple(draw(st.lists(st.sampled_from(["a", "c", "d"]), unique=True)))
    history.revision = draw(st.integers(0, 2**40))
    history.attributes = draw(st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2))
    return history.snapshot(draw(st.sampled_from(["u", "v", "wé", "x\ud800"])))


def plain(state: UserHistory) -> UserHistory:
    columns = ("event_hashes", "event_times_ms", "product_ids", "actions", "quantities", "listed")
    return replace(state, **{name: list(getattr(state, name)) for name in columns})


@cache
def with_products(products: int) -> ProductSlots:
    slots = ProductSlots(Catalogue())
    slots.assign([f"p{number}" for number in range(products)])
    return slots


@given(states(), st.sampled_from([0, 0x10000]))
def test_a_packed_history_is_the_same_when_it_is_opened(state: UserHistory, products: int) -> None:
    slots = with_products(products)
    assert plain(unpack_history(pack_history(state, slots), slots.ids)) == plain(state)


@given(st.lists(st.tuples(st.sampled_from(["put", "pop", "restore", "settle", "change"]), states()), max_size=25))
def test_a_store_holds_what_a_dictionary_would(steps: list[tuple[str, UserHistory]]) -> None:
    store, expected = HistoryStore(ProductSlots(Catalogue()), max_open=1), dict[str, UserHistory]()
    for what, state in steps:
        subject = state.subject
        if what == "put":
            store[subject], expected[subject] = History.of_state(state), plain(state)
        elif what == "restore":
            store.restore({subject: state})
            expected[subject] = plain(state)
        elif what == "change" and subject in store:
            store[subject].revision = 7
            expected[subject] = replace(expected[subject], revision=7)
        elif what == "pop":
            assert (store.pop(subject) is None) == (expected.pop(subject, None) is None)
        else:
            store.settle()
        assert len(store) == len(expected)
        states_now = {one: store.state(one) for one in ("u", "v", "wé", "x\ud800")}
        assert {one: plain(state) for one, state in states_now.items() if state is not None} == expected
        found = {one: store.get(one) for one in ("u", "v", "wé", "x\ud800")}
        assert {one: plain(own.snapshot(one)) for one, own in found.items() if own is not None} == expected
    assert store.listed() == {product_id for own in expected.values() for product_id in own.listed}
    wanted = {"c", "nowhere"}
    assert dict(store.listing(wanted)) == {one: "c" for one, own in expected.items() if "c" in own.listed}


def test_looking_for_a_subject_does_not_make_one() -> None:
    store = HistoryStore(ProductSlots(Catalogue()))
    assert store.get("u") is None
    assert "u" not in store
    assert len(store) == 0
    with pytest.raises(KeyError):
        store["u"]


def test_histories_of_twenty_views_take_four_hundred_bytes_at_rest() -> None:
    slots = ProductSlots(Catalogue())
    store, rules = HistoryStore(slots), HistoryRules()
    listed = tuple(f"p{number}" for number in range(20))
    for number in range(3_000):
        history = History()
        for place in range(20):
            at_ms = number * 1_000 + place * 90_000
            history.add(HistoryEvent(at_ms, number * 20 + place, f"p{place}", Action.VIEW, 1.0), rules)
        history.listed = listed
        store[f"user-{number}"] = history
        store.settle()
    assert store.nbytes / 3_000 < 420
