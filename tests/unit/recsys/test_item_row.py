from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.decay import Decay
from recsys.item_row import ItemRow, RowRules
from recsys.item_rows import ItemRows
from schemas.codec import decode, encode
from schemas.errors import ConfigurationError, InvalidEventError
from schemas.events import Action, CoVisits, ItemState, Relation

DAY_MS = 86_400_000
RULES = RowRules(Decay(30 * DAY_MS), max_companions=40, list_length=5)

Companion = tuple[str, int, int, float]


def co_visits(
    product_id: str = "p",
    companions: list[Companion] | None = None,
    visits: list[tuple[int, int, float]] | None = None,
) -> CoVisits:
    """A message of companions (id, time, relation, strength) and visits (time, action, weight)."""
    ids, times, relations, strengths = zip(*companions, strict=True) if companions else ((), (), (), ())
    visit_times, actions, weights = zip(*visits, strict=True) if visits else ((), (), ())
    return CoVisits(product_id, visit_times, actions, weights, ids, times, relations, strengths, "pdp-view/e", 1)


times = st.integers(0, 4 * 365 * DAY_MS)
companions = st.tuples(
    st.sampled_from([f"c{n}" for n in range(8)]),
    times,
    st.sampled_from([int(r) for r in Relation]),
    st.floats(0.01, 1.0),
)
visits = st.tuples(
    st.integers(0, 4 * 365 * DAY_MS), st.sampled_from([int(a) for a in Action]), st.floats(0.1, 5.0)
)
messages = st.builds(
    co_visits, st.sampled_from(["p", "q"]), st.lists(companions, max_size=4), st.lists(visits, max_size=3)
)


def assert_close(one: ItemState, other: ItemState) -> None:
    assert (one.epoch, one.event_time_ms, one.companion_ids) == (
        other.epoch,
        other.event_time_ms,
        other.companion_ids,
    )
    for name in ("visits", "purchases", "viewed_after", "viewed_before", "bought_together"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-9, abs=1e-300)


def row_of(*batches: CoVisits, rules: RowRules = RULES) -> ItemRow:
    row = ItemRow("p")
    for batch in batches:
        row.add(batch, rules)
    return row


def next_ids(row: ItemRow, rules: RowRules = RULES) -> list[str]:
    return [item.product_id for item in row.next_list(rules, lambda _: True)]


def test_a_companion_after_counts_more_than_one_before() -> None:
    row = row_of(co_visits(companions=[("a", 5, Relation.AFTER, 1.0), ("b", 5, Relation.BEFORE, 1.0)]))
    assert next_ids(row) == ["a", "b"]
    assert row.together_list(RULES, lambda _: True) == []


def test_recent_companions_overtake_old_ones() -> None:
    old = co_visits(companions=[("old", 0, Relation.AFTER, 1.0), ("old", 0, Relation.AFTER, 1.0)])
    new = co_visits(companions=[("new", 61 * DAY_MS, Relation.AFTER, 0.6)])
    assert next_ids(row_of(old)) == ["old"]
    assert next_ids(row_of(old, new)) == ["new", "old"]


def test_ties_go_to_the_smaller_id() -> None:
    row = row_of(co_visits(companions=[(name, 5, Relation.AFTER, 0.5) for name in ("c", "a", "b")]))
    assert next_ids(row) == ["a", "b", "c"]


def test_a_product_that_is_visited_again_is_its_own_companion_and_never_listed() -> None:
    row = row_of(co_visits(companions=[("p", 5, Relation.AFTER, 1.0), ("q", 5, Relation.AFTER, 0.5)]))
    assert row.companion_ids == ["p", "q"]
    assert next_ids(row) == ["q"]


def test_only_what_may_be_listed_is_listed_up_to_the_length() -> None:
    row = row_of(co_visits(companions=[(f"c{n}", 5, Relation.AFTER, 1 - n / 20) for n in range(9)]))
    items = row.next_list(RULES, lambda product_id: product_id != "c1")
    assert [item.product_id for item in items] == ["c0", "c2", "c3", "c4", "c5"]
    assert {(item.reason, item.because) for item in items} == {("viewed-next", "p")}


def test_scores_are_shares_of_damped_visits() -> None:
    views = [(0, Action.VIEW, 1.0)] * 8
    row = row_of(co_visits(companions=[("a", 0, Relation.AFTER, 1.0)] * 5, visits=views))
    [item] = row.next_list(RULES, lambda _: True)
    assert item.score == pytest.approx(5 / (8 + 2))
    [alone] = row_of(co_visits(companions=[("a", 0, Relation.AFTER, 1.0)], visits=views[:1])).next_list(
        RULES, lambda _: True
    )
    assert alone.score == pytest.approx(1 / (1 + 2))


def test_a_visit_counts_one_whatever_its_weight() -> None:
    row = row_of(co_visits(visits=[(0, Action.PURCHASE, 4.0), (0, Action.VIEW, 1.0)]))
    assert (row.visits, row.purchases) == (2.0, 1.0)


withdrawable = st.tuples(
    st.integers(0, 90 * DAY_MS), st.sampled_from([int(a) for a in Action]), st.floats(0.1, 5.0)
)
pairs_of_late = st.tuples(
    st.sampled_from(["c1", "c2", "c3"]),
    st.integers(0, 90 * DAY_MS),
    st.sampled_from([int(r) for r in Relation]),
    st.floats(0.01, 1.0),
)
some = st.builds(co_visits, st.just("p"), st.lists(pairs_of_late, max_size=4), st.lists(withdrawable, max_size=3))


@given(st.lists(some, max_size=4), st.lists(some, max_size=4))
def test_what_is_withdrawn_leaves_what_others_added(kept: list[CoVisits], taken_back: list[CoVisits]) -> None:
    withdrawn = [
        replace(
            one,
            visit_weights=[-weight for weight in one.visit_weights],
            companion_strengths=[-strength for strength in one.companion_strengths],
            withdrawn=True,
        )
        for one in taken_back
    ]
    row, expected = row_of(*taken_back, *kept, *withdrawn), row_of(*kept)
    as_of_now = RULES.decay.factor(0, row.epoch)
    for name in ("visits", "purchases"):
        assert getattr(row, name) == pytest.approx(getattr(expected, name) * as_of_now, abs=1e-6)
    assert row.companion_ids == expected.companion_ids
    assert row.is_empty == (not any(one.visit_times_ms or one.companion_ids for one in kept))


def test_what_is_bought_together_has_a_list_of_its_own() -> None:
    row = row_of(
        co_visits(
            companions=[("a", 9, Relation.AFTER, 1.0), ("b", 9, Relation.BOUGHT_TOGETHER, 0.5)],
            visits=[(9, Action.PURCHASE, 1.0)],
        )
    )
    assert next_ids(row) == ["a"]
    [item] = row.together_list(RULES, lambda _: True)
    assert (item.product_id, item.reason, item.because) == ("b", "bought-together", "p")


@given(st.lists(messages, min_size=1, max_size=4))
def test_rows_do_not_depend_on_the_order_of_arrival(batches: list[CoVisits]) -> None:
    batches = [replace(batch, product_id="p") for batch in batches]
    expected = row_of(*batches).snapshot()
    for order in itertools.permutations(batches):
        assert_close(row_of(*order).snapshot(), expected)


@given(st.lists(companions, max_size=8), st.integers(0, 8))
def test_one_message_equals_its_parts(parts: list[Companion], split: int) -> None:
    whole = row_of(co_visits(companions=parts)).snapshot()
    halves = row_of(co_visits(companions=parts[:split]), co_visits(companions=parts[split:])).snapshot()
    assert_close(halves, whole)


@given(st.lists(messages, max_size=6))
def test_a_snapshot_restores_the_row_and_reading_leaves_it_equal(batches: list[CoVisits]) -> None:
    rows = ItemRows(RULES)
    for batch in batches:
        rows.add(batch)
    for row in rows:
        before = encode(row.snapshot())
        row.next_list(RULES, lambda _: True)
        row.together_list(RULES, lambda _: False)
        assert rows.get("unheard-of") is None
        assert rows.holders("unheard-of") == []
        assert encode(row.snapshot()) == before
        restored = ItemRow.of_state(decode("item-state", before))  # type: ignore[arg-type]
        assert encode(restored.snapshot()) == before


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 100), st.floats(0.01, 1.0)), max_size=80))
def test_a_row_stays_bounded_and_what_is_cut_is_weak(arrivals: list[tuple[int, int, float]]) -> None:
    rules = RowRules(Decay(DAY_MS), max_companions=8, list_length=5)
    row = ItemRow("p")
    for number, at_ms, strength in arrivals:
        before = dict(zip(row.companion_ids, row.viewed_after, strict=True))
        companion_id = f"c{number:02}"
        _, cut = row.add(co_visits(companions=[(companion_id, at_ms, Relation.AFTER, strength)]), rules)
        assert len(row.companion_ids) < rules.cut_at
        assert row.companion_ids == sorted(row.companion_ids)
        weakest_kept = min(row.viewed_after)
        assert all(before.get(name, 0.0) <= weakest_kept for name in cut)


def test_rare_purchases_are_not_pushed_out_by_views() -> None:
    rules = replace(RULES, max_companions=8)
    bought = co_visits(companions=[("bought", 5, Relation.BOUGHT_TOGETHER, 0.1)])
    viewed = [co_visits(companions=[(f"v{n:02}", 5, Relation.AFTER, 1.0)]) for n in range(40)]
    row = row_of(bought, *viewed, rules=rules)
    assert "bought" in row.companion_ids
    assert len(row.companion_ids) < rules.cut_at


@given(st.lists(st.one_of(messages, st.sampled_from(["p", "q"])), max_size=12))
def test_the_index_names_exactly_the_rows_that_hold_a_companion(steps: list[CoVisits | str]) -> None:
    rules = replace(RULES, max_companions=4)
    rows = ItemRows(rules)
    for step in steps:
        if isinstance(step, str):
            rows.drop(step)
            continue
        rows.add(step)
        rows.restore(rows.get("p").snapshot() if rows.get("p") else ItemRow("q").snapshot())  # type: ignore[union-attr]
    for number in range(8):
        companion_id = f"c{number}"
        holding = sorted(row.product_id for row in rows if companion_id in row.companion_ids)
        assert sorted(row.product_id for row in rows.holders(companion_id)) == holding
    for row in list(rows):
        rows.drop(row.product_id)
    assert len(rows) == 0
    assert not any(rows.holders(f"c{number}") for number in range(8))


def test_rows_share_the_ids_of_their_companions() -> None:
    rows = ItemRows(RULES)
    for product_id in ("p", "q"):
        name = "".join(["a", "-", "companion"])
        state = rows.add(co_visits(product_id, [(name, 5, Relation.AFTER, 1.0)])).snapshot()
        rows.restore(replace(state, product_id=product_id * 2, companion_ids=["".join(["a", "-", "companion"])]))
    assert len({id(companion_id) for row in rows for companion_id in row.companion_ids}) == 1
    assert len(rows) == 4


def test_a_row_kept_with_another_half_life_is_refused() -> None:
    rows = ItemRows(RULES)
    state = rows.add(co_visits(companions=[("a", 10**12, Relation.AFTER, 1.0)])).snapshot()
    with pytest.raises(ConfigurationError, match="another half-life"):
        ItemRows(replace(RULES, decay=Decay(DAY_MS))).restore(state)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("visit_weights", (1.0,), "visits of p differ in length"),
        ("companion_strengths", (), "companions of p differ in length"),
        ("companion_relations", (3,), "name an action or a relation that is none"),
        ("companion_strengths", (float("nan"),), "strength of p is not finite"),
        ("companion_times_ms", (-1,), "milliseconds since 1970"),
    ],
)
def test_messages_that_contradict_themselves_are_refused(field: str, value: object, words: str) -> None:
    message = co_visits(companions=[("a", 5, Relation.AFTER, 1.0)])
    with pytest.raises(InvalidEventError, match=words):
        replace(message, **{field: value})
