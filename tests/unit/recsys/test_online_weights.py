from __future__ import annotations

from itertools import accumulate
from random import Random
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.decay import Decay
from recsys.scoring.ranking import Said, room
from recsys.scoring.verdicts import Verdicts, judge
from recsys.scoring.weights import Group, Knowledge, LearningRules, Lesson, OnlineWeights
from schemas.codec import decode, encode
from schemas.errors import ConfigurationError
from schemas.events import BlendState

DAY_MS = 86_400_000
CONFIGURED = {"rows": 1.0, "looks": 0.5, "popular": 0.1}
RULES = LearningRules(rate=0.1, decay=Decay(30 * DAY_MS))
LONG, NEW = Group(Knowledge.LONG), Group(Knowledge.NEW)


def said(*parts: list[list[tuple[int, float]]]) -> Said:
    """What each part says of each query: (slot, score)."""
    starts = []
    begin = 0
    for part in parts:
        starts.append([begin + size for size in accumulate(map(len, part), initial=0)])
        begin = starts[-1][-1]
    flat = [entry for part in parts for query in part for entry in query]
    slots, scores = zip(*flat, strict=True)
    weights = np.ones((len(parts[0]), len(parts)))
    return Said(np.array(starts, np.int64), np.array(slots, np.int32), np.array(scores), weights)


def test_a_scorer_is_judged_by_its_share_and_the_rank_in_its_own_list() -> None:
    spoken = said(
        [[(0, 1.0), (1, 2.0), (0, 3.0)], [(2, 1.0)]],  # a product may be there several times
        [[(1, 1.0), (0, 1.0), (3, 8.0)], []],  # what may not be listed does not count
    )
    listable = np.array([True, True, True, False])
    work = room(4)
    verdicts = judge(spoken, np.array([0, -1], np.int32), listable, work)
    assert verdicts.shares.tolist() == [[pytest.approx(4 / 6), 0.5], [0.0, 0.0]]
    assert verdicts.ranks.tolist() == [[1, 2], [0, 0]], "ties count against the product"
    assert verdicts.spoke.tolist() == [[True, True], [True, False]]
    assert not work.totals.any()


def verdict(*shares: float, spoke: tuple[bool, ...] = (True, True, True)) -> Verdicts:
    ranks = np.array([[int(share > 0) for share in shares]])
    return Verdicts(np.array([shares]), ranks, np.array([spoke]))


def teach(
    weights: OnlineWeights, judged: Verdicts, group: Group = LONG, at_ms: int = 0, partition: int = 0
) -> None:
    weights.learn(weights.lessons(judged, [partition], [group], [at_ms]))


def test_who_foresees_what_comes_next_gains_and_the_others_lose() -> None:
    weights = OnlineWeights(CONFIGURED, RULES)
    assert weights.of([LONG, NEW]).tolist() == [list(CONFIGURED.values())] * 2
    teach(weights, verdict(0.0, 0.2, 0.0))
    (rows, looks, popular), (new,) = weights.of([LONG])[0], weights.of([NEW])
    assert looks == pytest.approx(0.5 * np.exp(0.1 * (1 - 0.5 / 1.6)))
    assert rows == pytest.approx(np.exp(-0.1 / 1.6))
    assert popular < 0.1
    assert new.tolist() == list(CONFIGURED.values()), "another group"


def test_what_nobody_foresaw_teaches_nothing_and_who_was_silent_is_not_blamed() -> None:
    weights = OnlineWeights(CONFIGURED, RULES)
    teach(weights, verdict(0.0, 0.0, 0.0))
    assert weights.of([LONG])[0].tolist() == list(CONFIGURED.values())
    teach(weights, verdict(0.0, 0.0, 0.3, spoke=(False, True, True)))
    assert weights.of([LONG])[0, 0] == 1.0


def test_weights_stay_between_floor_and_ceiling_and_go_back_when_nothing_new_comes() -> None:
    weights = OnlineWeights(CONFIGURED, RULES)
    for _ in range(2_000):
        teach(weights, verdict(0.5, 0.0, 0.0))
    first = weights.of([LONG])[0]
    assert first[1:] == pytest.approx([0.5 * RULES.floor, 0.1 * RULES.floor])
    assert 1.0 < first[0] <= RULES.ceiling
    assert abs(weights.snapshot(0, LONG).gains[1]) < 20, "not more than it takes to get there"
    teach(weights, verdict(0.1, 0.1, 0.1), NEW, at_ms=3_000 * DAY_MS)
    assert weights.of([LONG])[0] == pytest.approx(list(CONFIGURED.values()), rel=1e-6)


def test_it_finds_the_mixture_that_predicts_best() -> None:
    """Of products that come from a known mixture of two scorers, each saying one product, the weights find it."""
    random = Random(1)
    weights = OnlineWeights({"a": 1.0, "b": 1.0}, LearningRules(rate=0.02, floor=0.01, ceiling=100.0))
    for _ in range(4_000):
        hit = random.random() < 0.8
        share = [0.5, 0.1] if hit else [0.1, 0.5]
        teach(weights, Verdicts(np.array([share]), np.array([[1, 1]]), np.array([[True, True]])))
    a, b = weights.of([LONG])[0]
    # Σ log (w 0.5 + (1 - w) 0.1) over 80 % and the reverse over 20 % is greatest where w = 0.95.
    assert a / (a + b) == pytest.approx(0.95, abs=0.03)


def test_a_segment_is_set_apart_from_everybody_whom_it_teaches_too() -> None:
    weights = OnlineWeights(CONFIGURED, RULES)
    ghent = Group(Knowledge.LONG, "city=Ghent")
    teach(weights, verdict(0.0, 0.0, 0.5), ghent)
    everybody, own, other = weights.of([LONG, ghent, Group(Knowledge.LONG, "city=Bruges")])
    assert everybody.tolist() == other.tolist()
    assert own[2] > everybody[2] > 0.1
    assert {report.group for report in weights.report()} == {*map(Group, Knowledge.ALL), ghent}


lessons = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from([LONG, NEW, Group(Knowledge.LONG, "city=Ghent")]),
        st.integers(0, 5_000 * DAY_MS),
        st.lists(st.floats(-1, 1), min_size=3, max_size=3),
    ),
    max_size=12,
)


def made(drawn: list[tuple[int, Group, int, list[float]]]) -> list[Lesson]:
    return [Lesson(p, group, at_ms, np.array(gains), np.abs(gains)) for p, group, at_ms, gains in drawn]


GROUPS = [LONG, NEW, Group(Knowledge.LONG, "city=Ghent")]


@settings(max_examples=25)
@given(lessons, st.randoms(use_true_random=False))
def test_lessons_add_up_in_any_order_however_partitions_are_dealt(
    drawn: list[tuple[int, Group, int, list[float]]], random: Random
) -> None:
    straight, shuffled, elsewhere = (OnlineWeights(CONFIGURED, RULES) for _ in range(3))
    changed = straight.learn(made(drawn))
    random.shuffle(drawn)
    for lesson in made(drawn):
        shuffled.learn([lesson])
    for partition, group in changed:
        state = cast(BlendState, decode("blend-state", encode(straight.snapshot(partition, group))))
        if partition:
            elsewhere.follow(state)  # another process has it
        else:
            elsewhere.restore(state)
    for other in (shuffled, elsewhere):
        assert other.of(GROUPS) == pytest.approx(straight.of(GROUPS))


@given(lessons)
@settings(max_examples=25)
def test_a_shard_restored_equals_one_that_never_crashed(drawn: list[tuple[int, Group, int, list[float]]]) -> None:
    calm, stormy = OnlineWeights(CONFIGURED, RULES), OnlineWeights(CONFIGURED, RULES)
    table: dict[str, BlendState] = {}
    for lesson in made(drawn):
        calm.learn([lesson])
        for partition, group in stormy.learn([lesson]):
            state = stormy.snapshot(partition, group)
            table[state.key] = state
            stormy.follow(state)
    stormy.learn([Lesson(0, LONG, 0, np.ones(3), np.ones(3))])  # never committed
    for partition in range(3):
        stormy.revoke(partition)
    for state in table.values():
        stormy.restore(state)
    assert stormy.of(GROUPS).tolist() == calm.of(GROUPS).tolist()
    assert stormy.report() == calm.report()


def test_scorers_come_and_go_and_a_changed_half_life_is_found() -> None:
    before = OnlineWeights(CONFIGURED, RULES)
    at_ms = 20_000 * DAY_MS
    teach(before, verdict(0.5, 0.2, 0.0), at_ms=at_ms)
    state = before.snapshot(0, LONG)
    after = OnlineWeights({"popular": 0.1, "rows": 1.0, "sessions": 2.0}, RULES)
    after.restore(state)
    (row,) = after.of([LONG])
    assert row[:2] == pytest.approx(before.of([LONG])[0, [2, 0]])
    assert row[2] == 2.0
    with pytest.raises(ConfigurationError, match="another half-life"):
        OnlineWeights(CONFIGURED, LearningRules(decay=Decay(DAY_MS))).restore(state)
