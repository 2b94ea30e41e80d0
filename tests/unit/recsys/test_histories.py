from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.histories import ADDED, DUPLICATE, EXPIRED, History, HistoryEvent, HistoryRules
from schemas.events import Action

RULES = HistoryRules(max_events=5, retention_ms=100)

events = st.lists(
    st.builds(
        HistoryEvent,
        event_time_ms=st.integers(0, 200),
        event_hash=st.integers(-50, 50),
        product_id=st.sampled_from("abc"),
        action=st.sampled_from([0, 1, 2]),
        quantity=st.sampled_from([-1.0, 1.0, 2.5]),
    ),
    max_size=20,
    unique_by=lambda event: event.event_hash,
)


def filled(taken: list[HistoryEvent], rules: HistoryRules = RULES) -> History:
    history = History()
    for event in taken:
        history.add(event, rules)
    return history


@given(events, st.data())
def test_a_history_is_the_latest_within_the_retention_in_any_order(
    taken: list[HistoryEvent], data: st.DataObject
) -> None:
    newest_ms = max((event.event_time_ms for event in taken), default=0)
    expected = sorted(event for event in taken if event.event_time_ms >= newest_ms - RULES.retention_ms)
    assert list(filled(data.draw(st.permutations(taken)))) == expected[-RULES.max_events :]


@given(events)
def test_replay_changes_nothing(taken: list[HistoryEvent]) -> None:
    history = filled(taken)
    before = history.snapshot("u")
    assert {history.add(event, RULES) for event in taken} <= {DUPLICATE, EXPIRED}
    assert history.snapshot("u") == before


@given(events)
def test_a_restored_history_is_the_same(taken: list[HistoryEvent]) -> None:
    history = filled(taken)
    history.listed, history.revision = ("a", "b"), 3
    restored = History.of_state(history.snapshot("u"))
    assert restored.snapshot("u") == history.snapshot("u")
    assert list(restored.latest()) == list(history)[::-1]


def test_outcomes_tell_what_happened() -> None:
    history = History()
    event = HistoryEvent(200, 1, "a", Action.VIEW, 1.0)
    assert history.add(event, RULES) == ADDED
    assert history.add(event, RULES) == DUPLICATE
    assert history.add(HistoryEvent(99, 2, "a", Action.VIEW, 1.0), RULES) == EXPIRED
    assert history.add(HistoryEvent(100, 3, "a", Action.VIEW, 1.0), RULES) == ADDED
    assert len(history) == 2


@pytest.mark.parametrize(("returned", "bought"), [(0.0, {"a"}), (-1.0, {"a"}), (-2.0, set())])
def test_what_is_returned_as_a_whole_is_no_longer_bought(returned: float, bought: set[str]) -> None:
    history = filled([HistoryEvent(1, 1, "a", Action.PURCHASE, 2.0), HistoryEvent(2, 2, "b", Action.VIEW, 1.0)])
    if returned:
        history.add(HistoryEvent(3, 3, "a", Action.PURCHASE, returned), RULES)
    assert history.bought() == bought


def test_a_window_holds_both_of_its_ends() -> None:
    history = filled([HistoryEvent(at_ms, at_ms, "a", Action.VIEW, 1.0) for at_ms in (9, 10, 15, 20, 21)])
    assert [event.event_time_ms for event in history.around(15, 5)] == [10, 15, 20]
