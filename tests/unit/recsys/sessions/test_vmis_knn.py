from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.sessions.index import SessionIndex, SessionRules, Sessions
from recsys.sessions.vmis import SessionQueries, Vmis, VmisRules

State = Mapping[str, Mapping[int, int]]
"""Items by session, each with the second of its latest visit."""


def sessions_of(state: State) -> Sessions:
    visits = [(item, at_ms) for own in state.values() for item, at_ms in own.items()]
    items, times = np.array(visits, np.int64).reshape(-1, 2).T
    counts = np.array([len(own) for own in state.values()], np.int64)
    return Sessions(list(state), counts, items.astype(np.int32), times * 1_000, np.ones(len(items), np.float32))


def index_of(state: State, rules: SessionRules | None = None) -> SessionIndex:
    index = SessionIndex(rules)
    index.put(sessions_of(state))
    return index


def ask(
    index: SessionIndex, queries: Sequence[Sequence[int]], rules: VmisRules, own: Sequence[int] = ()
) -> list[dict[int, float]]:
    counts = np.array([len(query) for query in queries], np.int64)
    items = np.array([item for query in queries for item in query], np.int32)
    own_numbers = np.array(own or [-1] * len(queries), np.int64)
    found = Vmis(index, rules).scores(SessionQueries(counts, items, own_numbers))
    bounds = np.append(0, np.cumsum(found.counts)).tolist()
    pairs = list(zip(found.items.tolist(), found.scores.tolist(), strict=True))
    return [dict(pairs[a:b]) for a, b in pairwise(bounds)]


def textbook(state: State, query: Sequence[int], rules: VmisRules) -> dict[int, float]:
    """The definition, in plain code; times have to differ."""
    query = query[: rules.max_items]
    similar: dict[str, float] = {}
    first: dict[str, int] = {}
    for rank, item in enumerate(query, 1):
        having = sorted((own[item], name) for name, own in state.items() if item in own)
        for _, name in having[-rules.recent_sessions :]:
            similar[name] = similar.get(name, 0.0) + 1.0 / rank
            first.setdefault(name, rank)
    similar = {name: value / math.sqrt(len(state[name])) for name, value in similar.items()}
    nearest = sorted(similar, key=lambda name: (similar[name], max(state[name].values())))[-rules.neighbours :]
    scores: dict[int, float] = {}
    for name in nearest:
        for item in state[name]:
            having_item = sum(item in own for own in state.values())
            scores[item] = scores.get(item, 0.0) + similar[name] / first[name] * math.log(len(state) / having_item)
    return {item: score for item, score in scores.items() if score > 1e-9}


@st.composite
def states(draw: st.DrawFn) -> dict[str, dict[int, int]]:
    owners = draw(st.lists(st.sampled_from("abcdefgh"), max_size=40))
    items = draw(st.lists(st.integers(0, 9), min_size=len(owners), max_size=len(owners)))
    times = draw(st.permutations(range(len(owners))))
    state: dict[str, dict[int, int]] = {}
    for owner, item, at_ms in zip(owners, items, times, strict=True):
        own = state.setdefault(owner, {})
        own[item] = max(at_ms, own.get(item, 0))
    return state


RULES = VmisRules(recent_sessions=3, neighbours=2, max_items=4)
queries_of = st.lists(st.lists(st.integers(-1, 11), max_size=6, unique=True), min_size=1, max_size=4)


@given(states(), queries_of)
def test_the_stream_answers_as_the_definition_says(
    state: dict[str, dict[int, int]], queries: list[list[int]]
) -> None:
    found = ask(index_of(state), queries, RULES)
    for query, scores in zip(queries, found, strict=True):
        assert {i: s for i, s in scores.items() if s > 1e-9} == pytest.approx(
            textbook(state, query, RULES), abs=1e-9
        )


@given(states(), states(), states(), st.randoms(use_true_random=False), queries_of)
def test_only_what_the_sessions_are_now_matters(before, other, state, random, queries) -> None:  # type: ignore[no-untyped-def]
    """Whatever they were before, in whatever order they came, one by one or at once, and who was forgotten."""
    index = index_of(before)
    index.put(sessions_of({f"{name}-forgotten": own for name, own in other.items()}))
    for name in random.sample(sorted(state), len(state)):
        index.put(sessions_of({name: {item: state[name][item] for item in list(state[name])[::2]}}))
        index.put(sessions_of({name: state[name]}))
    for name in [*(f"{name}-forgotten" for name in other), *(before.keys() - state.keys())]:
        index.forget(name)
    assert len(index) == len(state)
    assert ask(index, queries, RULES) == ask(index_of(state), queries, RULES)
    assert all(index.session(name) == own for name, own in state.items())


@given(states(), queries_of)
def test_a_batch_of_queries_equals_one_by_one(state: dict[str, dict[int, int]], queries: list[list[int]]) -> None:
    index = index_of(state)
    assert ask(index, queries, RULES) == [ask(index, [query], RULES)[0] for query in queries]


@given(states(), queries_of)
def test_who_asks_does_not_speak_for_himself(state: dict[str, dict[int, int]], queries: list[list[int]]) -> None:
    rules = VmisRules(recent_sessions=100, neighbours=100)
    with_own = index_of({**state, "own": {1: 100, 2: 101}})
    answers = ask(with_own, queries, rules, own=with_own.find(["own"]).tolist() * len(queries))
    # Their session still counts for how rare an item is.
    for query, scores in zip(queries, answers, strict=True):
        assert set(scores) <= {item for own in state.values() for item in own}
        assert all(not set(query) & {1, 2} or len(state) for _ in scores)


def test_a_guest_joins_the_user_who_logs_in() -> None:
    index = index_of({"guest": {1: 10, 2: 40}, "user": {2: 20, 3: 30}, "else": {1: 1}})
    changes = index.join("guest", "user")
    assert index.session("user") == {1: 10, 2: 40, 3: 30}
    assert index.session("guest") == {}
    assert len(index) == 2
    assert changes.items.tolist() == [1, 2]
    joined = index_of({"user": {1: 10, 2: 40, 3: 30}, "else": {1: 1}})
    assert ask(index, [[1]], RULES) == ask(joined, [[1]], RULES)


def test_sessions_expire_with_the_latest_visit_of_all() -> None:
    rules = SessionRules(retention_ms=6_400_000)
    index = index_of({"old": {1: 100, 2: 3_000}, "recent": {2: 9_000}}, rules)
    assert len(index) == 2
    changes = index.put(sessions_of({"newest": {3: 9_500}}))
    assert index.session("old") == {}
    assert changes.items.tolist() == [1, 2, 3]
    assert ask(index, [[2]], RULES) == ask(index_of({"recent": {2: 9_000}, "newest": {3: 9_500}}), [[2]], RULES)
    index.put(sessions_of({"late": {1: 50}}))
    assert index.session("late") == {}


def test_the_oldest_sessions_make_room() -> None:
    index = SessionIndex(SessionRules(max_sessions=16))
    for number in range(40):
        index.put(sessions_of({f"s{number}": {number % 3: number}}))
    assert 14 <= len(index) <= 16
    assert index.session("s39") == {0: 39}
    assert int(index.sessions_of.lengths.sum()) == len(index)


def test_a_long_session_keeps_its_latest_items() -> None:
    index = index_of({"s": {1: 30, 2: 10, 3: 20}}, SessionRules(max_items=2))
    assert index.session("s") == {1: 30, 3: 20}


@given(states(), st.randoms(use_true_random=False), queries_of)
def test_the_retained_window_is_that_of_all_sessions_at_once(state, random, queries) -> None:  # type: ignore[no-untyped-def]
    """Whoever comes first: some expire that were there, others are too old when they come."""
    rules = SessionRules(retention_ms=12_000)
    at_once, one_by_one = index_of(state, rules), SessionIndex(rules)
    for name in random.sample(sorted(state), len(state)):
        one_by_one.put(sessions_of({name: state[name]}))
    newest = max((at_s for own in state.values() for at_s in own.values()), default=0)
    kept = {name: own for name, own in state.items() if max(own.values()) >= newest - 12}
    for index in (at_once, one_by_one):
        assert {name: index.session(name) for name in state if index.session(name)} == kept
        assert ask(index, queries, RULES) == ask(index_of(kept), queries, RULES)


def test_many_sessions_that_change_again_and_again_leave_no_trace() -> None:
    """Rows move, are packed and taken again, and what visits amount to follows."""
    random, weighed = np.random.default_rng(4), SessionIndex(weighed=True)
    index, state = SessionIndex(), dict[str, dict[int, int]]()
    for _ in range(250):
        changed = [f"s{number}" for number in random.permutation(80)[:5].tolist()]
        for name in changed:
            items = random.integers(0, 40, int(random.integers(0, 12)))
            state[name] = dict(zip(items.tolist(), random.integers(0, 5_000, len(items)).tolist(), strict=True))
        sessions = sessions_of({name: state[name] for name in changed})
        sessions = sessions._replace(strengths=(sessions.items % 7 + 1).astype(np.float32))
        index.put(sessions)
        weighed.put(sessions)
    state = {name: own for name, own in state.items() if own}
    fresh, queries = index_of(state), [random.permutation(40)[:6].tolist() for _ in range(30)]
    assert {name: index.session(name) for name in state} == state
    rules = VmisRules(recent_sessions=12, neighbours=9)
    assert ask(index, queries, rules) == ask(fresh, queries, rules)
    counts, sessions_found, strengths = weighed.visitors(np.arange(40), last=5)
    assert (strengths == np.repeat(np.arange(40) % 7 + 1, counts)).all()
    names = {int(weighed.find([name])[0]): name for name in state}
    latest = [sorted(own[item] for own in state.values() if item in own)[-5:] for item in range(40)]
    owners = np.repeat(np.arange(40), counts).tolist()
    found = [state[names[int(number)]][item] for item, number in zip(owners, sessions_found, strict=True)]
    assert found == [at_s for own in latest for at_s in own]
    assert weighed.popularity(np.array([3, 99_999])).tolist() == [sum(3 in own for own in state.values()), 0]
