from __future__ import annotations

import itertools
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.co_visits import CoVisitBatch, PairRules
from recsys.contributions import ENTERED, LEFT, Contributions, counted
from recsys.histories import ADDED, DUPLICATE, History, HistoryEvent, HistoryRules
from recsys.quarantine import QuarantineRules
from recsys.returns import net_of_returns
from recsys.segments import SegmentVisitBatch
from schemas.events import Action, CoVisits, SegmentVisits

VIEW, BUY = int(Action.VIEW), int(Action.PURCHASE)
RULES = PairRules(view_window_ms=30, view_gap_ms=10, purchase_window_ms=60, purchase_gap_ms=20, max_companions=2)
ROOMY = HistoryRules(max_events=100, retention_ms=1_000)
CRAMPED = HistoryRules(max_events=5, retention_ms=60)
BOTS = QuarantineRules(events=4, window_ms=6, release_ms=25)
NEVER = QuarantineRules(events=0)

Sums = dict[tuple[object, ...], float]


class Cause(NamedTuple):
    timestamp_ms: int
    cause: str = "pdp-view/e"


def event(number: int, at_ms: int, product_id: str, action: int = VIEW, quantity: float = 1.0) -> HistoryEvent:
    return HistoryEvent(at_ms, number, product_id, action, quantity if action == BUY else abs(quantity))


events = st.builds(
    event,
    st.integers(0, 1_000),
    st.integers(0, 60),
    st.sampled_from("abc"),
    st.sampled_from((0, 0, 1, 2, 2, 2)),
    st.sampled_from((1.0, 1.0, 2.0, -1.0, -2.0)),
)
scripts = st.lists(events, max_size=16, unique_by=lambda one: one.event_hash)


def sums(messages: Iterable[CoVisits | SegmentVisits]) -> Sums:
    """Visits and strengths by what they are of and when; what adds up to nothing is left out."""
    total: defaultdict[tuple[object, ...], float] = defaultdict(float)
    for one in messages:
        if isinstance(one, SegmentVisits):
            for *key, weight in zip(one.product_ids, one.visit_times_ms, one.visit_weights, strict=True):
                total["segment", one.segment, *key] += weight
            continue
        for at_ms, action, weight in zip(one.visit_times_ms, one.visit_actions, one.visit_weights, strict=True):
            total["weight", one.product_id, at_ms, action] += weight
            total["visits", one.product_id, at_ms, action] += -1.0 if one.withdrawn else 1.0
        for key in zip(*columns_of(one), strict=True):
            total["pair", one.product_id, *key[:-1]] += float(str(key[-1]))
    return {key: value for key, value in total.items() if abs(value) > 1e-9}


def columns_of(one: CoVisits) -> tuple[Sequence[object], ...]:
    return one.companion_ids, one.companion_times_ms, one.companion_relations, one.companion_strengths


def expected(history: History) -> Sums:
    """By the definition: what the events that count add, all at once."""
    own = counted(history)
    batch, segments = CoVisitBatch(RULES, ROOMY), SegmentVisitBatch(RULES.weights)
    batch.add(History(), own, [Cause(1)] * len(own))
    segments.add("s", own, Cause(1))
    return sums([*batch.messages(), *segments.messages()])


def fed(
    history: History, script: Sequence[HistoryEvent], rules: HistoryRules, bots: QuarantineRules
) -> Iterator[CoVisits | SegmentVisits]:
    batch = Contributions(RULES, rules, bots)
    batch.add(history, script, [Cause(n) for n in range(len(script))], "s")
    return batch.messages()


@pytest.mark.parametrize("bots", [NEVER, BOTS])
@given(scripts, st.randoms(use_true_random=False), st.sets(st.integers(0, 16), max_size=4))
def test_what_was_added_is_what_the_events_that_count_add_whatever_the_order_and_the_batches(
    bots: QuarantineRules, script: list[HistoryEvent], shuffled: random.Random, cuts: set[int]
) -> None:
    shuffled.shuffle(script)
    history, messages = History(), []
    for begin, end in itertools.pairwise([0, *sorted(cuts), len(script)]):
        messages += list(fed(history, script[begin:end], ROOMY, bots))
    assert sums(messages) == pytest.approx(expected(history))
    assert history.is_quarantined == bots.is_inhuman([one.event_time_ms for one in history])


@pytest.mark.parametrize("bots", [NEVER, BOTS])
@given(scripts, scripts)
def test_a_batch_equals_one_by_one_even_where_events_are_dropped(
    bots: QuarantineRules, earlier: list[HistoryEvent], script: list[HistoryEvent]
) -> None:
    batched, single = History(), History()
    for history in (batched, single):
        list(fed(history, earlier, CRAMPED, bots))
    at_once = sums(fed(batched, script, CRAMPED, bots))
    singly = [message for one in script for message in fed(single, [one], CRAMPED, bots)]
    assert at_once == pytest.approx(sums(singly))
    assert (list(batched), batched.is_quarantined) == (list(single), single.is_quarantined)


@given(scripts, scripts)
def test_all_that_a_shopper_added_can_be_taken_back(
    earlier: list[HistoryEvent], script: list[HistoryEvent]
) -> None:
    history = History()
    messages = list(fed(history, earlier, ROOMY, BOTS))
    batch = Contributions(RULES, ROOMY, BOTS)
    batch.add(history, script, [Cause(1)] * len(script), "s")
    batch.take_back(history, Cause(2), "s")
    assert sums([*messages, *batch.messages()]) == {}


def test_a_return_takes_back_what_the_purchase_added_and_no_more() -> None:
    history = History()
    bought = [event(1, 10, "a", BUY, 2.0), event(2, 12, "b", BUY)]
    messages = list(fed(history, bought, ROOMY, NEVER))
    messages += fed(history, [event(3, 20, "b", BUY, -1.0), event(4, 21, "c", BUY, -1.0)], ROOMY, NEVER)
    assert sums(messages) == sums(fed(History(), bought[:1], ROOMY, NEVER))


def test_a_return_of_some_leaves_the_rest_as_if_they_alone_had_been_bought() -> None:
    history = History()
    messages = list(fed(history, [event(1, 10, "a", BUY, 4.0), event(2, 12, "b", BUY)], ROOMY, NEVER))
    messages += fed(history, [event(3, 20, "a", BUY, -2.0)], ROOMY, NEVER)
    rest = [event(1, 10, "a", BUY, 2.0), event(2, 12, "b", BUY)]
    assert sums(messages) == sums(fed(History(), rest, ROOMY, NEVER))


@pytest.mark.parametrize(
    ("quantities", "left"),
    [
        ([1.0, 1.0, -1.0], [1.0]),
        ([3.0, 1.0, -2.0], [2.0]),
        ([1.0, -5.0, 1.0], [1.0]),
        ([-1.0, 1.0], [1.0]),
        ([2.0, -1.0, -1.0], []),
    ],
)
def test_returns_take_units_off_the_latest_purchases_before(quantities: list[float], left: list[float]) -> None:
    bought = [event(n, n, "a", BUY, quantity) for n, quantity in enumerate(quantities)]
    assert [one.quantity for one in net_of_returns([*bought, event(9, 9, "a"), event(10, 10, "b", BUY)])][
        :-2
    ] == left


def burst(first: int, at_ms: int) -> list[HistoryEvent]:
    return [event(first + n, at_ms + n, "abcd"[n]) for n in range(4)]


def test_a_bot_adds_nothing_and_counts_again_once_it_is_over() -> None:
    history, bots = History(), Contributions(RULES, ROOMY, BOTS)
    before = event(0, 5, "a")
    assert bots.add(history, [before, *burst(1, 10)], [Cause(1)] * 5, "s") == [ADDED] * 5
    assert history.is_quarantined
    assert sums(bots.messages()) == {}
    more = Contributions(RULES, ROOMY, BOTS)
    assert more.add(history, [event(7, 30, "d"), before], [Cause(1)] * 2, "s") == [ADDED, DUPLICATE]
    assert list(more.messages()) == []
    after = Contributions(RULES, ROOMY, BOTS)
    after.add(history, [event(8, 40, "a")], [Cause(1)], "s")
    assert not history.is_quarantined
    assert sums(after.messages()) == pytest.approx(expected(history))
    assert bots.quarantines + after.quarantines == {ENTERED: 1, LEFT: 1}


def test_nobody_is_quarantined_where_that_is_switched_off() -> None:
    history, anybody = History(), Contributions(RULES, ROOMY, NEVER)
    anybody.add(history, burst(1, 10), [Cause(1)] * 4, "s")
    assert not history.is_quarantined
    assert sums(anybody.messages()) == pytest.approx(expected(history))
