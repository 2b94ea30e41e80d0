from __future__ import annotations

import itertools
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys import co_visits
from recsys.co_visits import ActionWeights, CoVisitBatch, PairRules
from recsys.histories import ADDED, History, HistoryEvent, HistoryRules
from schemas.codec import decode, encode
from schemas.events import Action, CoVisits, Relation

AFTER, BEFORE, TOGETHER = Relation.AFTER, Relation.BEFORE, Relation.BOUGHT_TOGETHER
RULES = PairRules(view_window_ms=30, view_gap_ms=10, purchase_window_ms=60, purchase_gap_ms=20, max_companions=2)
ROOMY = HistoryRules(max_events=100, retention_ms=1_000)
CRAMPED = HistoryRules(max_events=4, retention_ms=40)

Arrival = tuple[str, HistoryEvent]


class Cause(NamedTuple):
    cause: str
    timestamp_ms: int


Sums = dict[tuple[str, str, int, int], float]


def event(number: int, at_ms: int, product_id: str, action: int = 0, quantity: float = 1.0) -> HistoryEvent:
    return HistoryEvent(at_ms, number, product_id, action, quantity)


events = st.builds(
    event,
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 100),
    st.sampled_from("abcd"),
    st.sampled_from((0, 0, 0, 1, 2)),
    st.sampled_from((1.0, 3.0)),
)
arrivals_of_shoppers = st.lists(
    st.tuples(st.sampled_from("uv"), events), max_size=14, unique_by=lambda arrival: arrival[1].event_hash
)


def batch(
    histories: dict[str, History], arrivals: Iterable[Arrival], history_rules: HistoryRules
) -> list[CoVisits]:
    gathered = CoVisitBatch(RULES, history_rules)
    of_shoppers: dict[str, list[HistoryEvent]] = {}
    for shopper, one in arrivals:
        of_shoppers.setdefault(shopper, []).append(one)
    for shopper, own in of_shoppers.items():
        causes = [Cause(f"pdp-view/{one.event_hash}", one.event_time_ms) for one in own]
        gathered.add(histories.setdefault(shopper, History()), own, causes)
    return list(gathered.messages())


def sums(messages: Iterable[CoVisits]) -> Sums:
    """Strengths by product, companion, time and relation; what adds up to nothing is left out."""
    total: defaultdict[tuple[str, str, int, int], float] = defaultdict(float)
    for message in messages:
        for companion_id, at_ms, relation, strength in zip(
            message.companion_ids,
            message.companion_times_ms,
            message.companion_relations,
            message.companion_strengths,
            strict=True,
        ):
            total[message.product_id, companion_id, at_ms, relation] += strength
    return {key: value for key, value in total.items() if abs(value) > 1e-12}


def visits(messages: Iterable[CoVisits]) -> list[tuple[str, int, int, float]]:
    return sorted(
        (message.product_id, *visit)
        for message in messages
        for visit in zip(message.visit_times_ms, message.visit_actions, message.visit_weights, strict=True)
    )


def expected(shoppers: Iterable[Sequence[HistoryEvent]]) -> Sums:
    """The pairs by their definition."""
    total: defaultdict[tuple[str, str, int, int], float] = defaultdict(float)
    for own in shoppers:
        for action, window_ms, gap_ms in ((Action.VIEW, 30, 10), (Action.PURCHASE, 60, 20)):
            ordered = sorted(one for one in own if one.action == action and one.quantity > 0)
            for (i, first), (j, second) in itertools.combinations(enumerate(ordered), 2):
                between_ms = second.event_time_ms - first.event_time_ms
                if j - i > RULES.max_companions or between_ms > window_ms:
                    continue
                strength, at_ms = 1.0 / (1.0 + between_ms / gap_ms), second.event_time_ms
                earlier, later = first.product_id, second.product_id
                if action == Action.VIEW:
                    total[earlier, later, at_ms, AFTER] += strength
                    if earlier != later:
                        total[later, earlier, at_ms, BEFORE] += strength
                elif earlier != later:
                    total[earlier, later, at_ms, TOGETHER] += strength
                    total[later, earlier, at_ms, TOGETHER] += strength
    return dict(total)


@given(arrivals=arrivals_of_shoppers, seed=st.randoms(use_true_random=False), cuts=st.sets(st.integers(0, 14)))
def test_sums_are_those_of_the_set_of_events_whatever_the_order_and_the_batches(
    arrivals: list[Arrival], seed: random.Random, cuts: set[int]
) -> None:
    shuffled = list(arrivals)
    seed.shuffle(shuffled)
    histories: dict[str, History] = {}
    messages: list[CoVisits] = []
    for begin, end in itertools.pairwise([0, *sorted(cuts), len(shuffled)]):
        messages += batch(histories, shuffled[begin:end], ROOMY)
    assert sums(messages) == pytest.approx(expected([list(history) for history in histories.values()]))


@given(earlier=arrivals_of_shoppers, arrivals=arrivals_of_shoppers)
def test_a_batch_equals_one_by_one_even_where_events_are_dropped(
    earlier: list[Arrival], arrivals: list[Arrival]
) -> None:
    together: dict[str, History] = {}
    batch(together, earlier, CRAMPED)
    one_by_one = {shopper: history.copy() for shopper, history in together.items()}
    at_once = batch(together, arrivals, CRAMPED)
    singly = [message for arrival in arrivals for message in batch(one_by_one, [arrival], CRAMPED)]
    assert sums(at_once) == pytest.approx(sums(singly))
    assert visits(at_once) == visits(singly)
    assert {k: list(h) for k, h in together.items()} == {k: list(h) for k, h in one_by_one.items() if len(h)}


def test_one_message_a_product_with_visits_and_companions() -> None:
    a, b, c = event(1, 100, "a"), event(2, 110, "b"), event(3, 115, "c", Action.CART_ADD, 4.0)
    messages = batch({}, [("u", a), ("u", b), ("u", c)], ROOMY)
    assert [decode("co-visits", encode(message)) for message in messages] == [
        CoVisits("a", [100], [0], [1.0], ["b"], [110], [AFTER], [0.5], "pdp-view/2", 110),
        CoVisits("b", [110], [0], [1.0], ["a"], [110], [BEFORE], [0.5], "pdp-view/2", 110),
        CoVisits("c", [115], [1], [6.0], [], [], [], [], "pdp-view/3", 115),
    ]


def test_shoppers_do_not_mix() -> None:
    assert not sums(batch({}, [("u", event(1, 1, "a")), ("v", event(2, 1, "b"))], ROOMY))


def test_a_product_viewed_again_is_its_own_companion_once() -> None:
    (message,) = batch({}, [("u", event(1, 1, "a")), ("u", event(2, 1, "a"))], ROOMY)
    assert list(message.companion_ids) == ["a"]
    assert list(message.companion_relations) == [AFTER]


def test_a_late_view_takes_back_the_pair_that_it_parts() -> None:
    histories: dict[str, History] = {}
    batch(histories, [("u", event(number, 10 * number, product)) for number, product in enumerate("abc")], ROOMY)
    late = sums(batch(histories, [("u", event(9, 15, "x"))], ROOMY))
    assert late["a", "c", 20, AFTER] == pytest.approx(-1 / 3)
    assert late["c", "a", 20, BEFORE] == pytest.approx(-1 / 3)
    assert late["a", "x", 15, AFTER] == pytest.approx(1 / 2.5)


def test_a_return_makes_no_pair_and_takes_its_weight_back() -> None:
    bought = [event(1, 1, "a", Action.PURCHASE, 2.0), event(2, 2, "b", Action.PURCHASE, -2.0)]
    messages = batch({}, [("u", one) for one in bought], ROOMY)
    assert not sums(messages)
    assert visits(messages) == [("a", 1, 2, 6.0), ("b", 2, 2, -6.0)]


def test_the_newest_cause_counts_whatever_its_place_in_the_batch() -> None:
    gathered = CoVisitBatch(RULES, ROOMY)
    causes = [Cause("pdp-view/1", 9), Cause("pdp-view/2", 7)]
    assert gathered.add(History(), [event(1, 1, "a"), event(2, 2, "a")], causes) == [ADDED, ADDED]
    (message,) = gathered.messages()
    assert (message.caused_by, message.caused_at_ms) == ("pdp-view/1", 9)


def test_an_empty_batch_says_nothing() -> None:
    assert list(CoVisitBatch(RULES, ROOMY).messages()) == []


def test_a_long_message_is_cut_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    arrivals = [(f"u{number // 2}", event(number, number, "ab"[number % 2])) for number in range(14)]
    whole = batch({}, arrivals, ROOMY)
    monkeypatch.setattr(co_visits, "MAX_ENTRIES", 3)
    parts = batch({}, arrivals, ROOMY)
    assert (len(whole), len(parts)) == (2, 6)
    assert (sums(parts), visits(parts)) == (pytest.approx(sums(whole)), visits(whole))


@pytest.mark.parametrize(
    ("action", "quantity", "weight"),
    [(0, 1.0, 1.0), (1, 1.0, 2.0), (2, 1.0, 3.0), (2, 4.0, 9.0), (2, 0.5, 1.5), (2, -1.0, -3.0), (2, -2.0, -6.0)],
)
def test_quantities_count_with_diminishing_returns(action: int, quantity: float, weight: float) -> None:
    assert ActionWeights().of(action, quantity) == weight
