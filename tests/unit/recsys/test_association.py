from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.association import Measure, Totals, association
from recsys.decay import Decay
from recsys.item_row import ItemRow, RowRules
from recsys.item_totals import PURCHASES, VISITS, ItemTotals
from schemas.events import Action, CoVisits, Relation

HALF_LIFE_MS = 1_000
DECAY = Decay(HALF_LIFE_MS)
BASKETS = st.lists(st.sets(st.sampled_from("abcd"), min_size=1), min_size=1, max_size=25)


def g_squared(both: float, one: float, other: float, total: float) -> float:
    """Σ observed · log(observed / expected) over the four cells, doubled; 0 below chance."""
    cells = {(1, 1): both, (1, 0): one - both, (0, 1): other - both, (0, 0): total - one - other + both}
    if both * total <= one * other:
        return 0.0
    found = 0.0
    for (has_one, has_other), observed in cells.items():
        expected = (one if has_one else total - one) * (other if has_other else total - other) / total
        found += observed * math.log(observed / expected) if observed > 0.0 else 0.0
    return 2.0 * found


@given(BASKETS)
def test_measures_are_those_of_their_definitions(baskets: list[set[str]]) -> None:
    """Of baskets, each of which visits its products at the same time."""
    count = {name: float(sum(name in basket for basket in baskets)) for name in "abcd"}
    others = [name for name in "bcd" if count[name]]
    both = np.array([float(sum({"a", name} <= basket for basket in baskets)) for name in others])
    total = float(len(baskets))
    totals = Totals(np.array([count[name] for name in others]), total)

    def found(measure: Measure) -> list[float]:
        return association(measure, both, count["a"], totals, 1.5).tolist()

    for place, name in enumerate(others):
        n, significance = both[place], both[place] / (both[place] + 1.5)
        if not n:
            assert [found(measure)[place] for measure in ("share", "cosine", "lift", "llr")] == [0.0] * 4  # type: ignore[arg-type]
            continue
        assert found("share")[place] == pytest.approx(n / (count["a"] + 1.5))
        assert found("cosine")[place] == pytest.approx(n / math.sqrt(count["a"] * count[name]) * significance)
        assert found("lift")[place] == pytest.approx(n * total / (count["a"] * count[name]) * significance)
        assert found("llr")[place] == pytest.approx(g_squared(n, count["a"], count[name], total), abs=1e-9)


@pytest.mark.parametrize("measure", ["share", "cosine", "lift", "llr"])
def test_what_is_bounded_or_gone_gives_no_nonsense(measure: Measure) -> None:
    both = np.array([0.0, 3.0, 1e-12, 2.0])
    totals = Totals(np.array([0.0, 1.0, 1e9, 0.0]), 0.5)
    found = association(measure, both, 1.0, totals, 2.0)
    assert np.isfinite(found).all()
    assert (found >= 0.0).all()
    assert found[0] == 0.0


updates = st.tuples(
    st.sampled_from("abc"), st.none() | st.tuples(st.integers(0, 5), st.integers(0, 9), st.integers(0, 9))
)


@given(st.lists(updates, max_size=15), st.randoms(use_true_random=False))
def test_totals_are_those_of_the_products_as_they_are(
    script: list[tuple[str, tuple[int, int, int] | None]], random: object
) -> None:
    found, again, now = ItemTotals(), ItemTotals(), dict[str, tuple[int, int, int]]()
    for name, state in script:
        if state is None:
            found.drop(name)
            now.pop(name, None)
        else:
            found.put(name, *state)
            now[name] = state
    for name in sorted(now, reverse=True):
        again.put(name, *now[name])
    for column in (VISITS, PURCHASES):
        wanted = [
            now[name][1 + column] * 2.0 ** (32 * (now[name][0] - 3)) if name in now else 0.0 for name in "abcx"
        ]
        for totals in (found, again):
            others, everything = totals.of("abcx", column, 3)
            assert others.tolist() == pytest.approx(wanted)
            assert everything == pytest.approx(sum(wanted))
    assert len(found) == len(now)


def test_many_products_find_room() -> None:
    totals = ItemTotals()
    for number in range(3_000):
        totals.put(f"p{number}", 0, 1.0, 0.5)
    assert totals.of(["p2999"], VISITS, 0) == (pytest.approx([1.0]), 3_000.0)
    assert totals.of([], PURCHASES, 0).everything == 1_500.0


def test_lists_are_by_the_measure_and_views_apart_from_purchases() -> None:
    """A bestseller is viewed and bought after everything; a plug is, after this kettle alone."""
    row, totals = ItemRow("kettle"), ItemTotals()
    companions = ["best"] * 6 + ["plug"] * 4
    at, count = 40_000, len(companions)
    row.add(
        CoVisits(
            "kettle", [at] * 8, [0] * 8, [1.0] * 8, companions, [at] * count, [0] * count, [1.0] * count, "", 0
        ),
        rules(),
    )
    bought = [at] * count, [Relation.BOUGHT_TOGETHER] * count, [1.0] * count
    actions = [Action.PURCHASE] * 8
    row.add(CoVisits("kettle", [at] * 8, actions, [3.0] * 8, companions, *bought, "", 0), rules())
    weight = DECAY.weight(at, row.epoch)
    for name, visits in {"kettle": 16.0, "best": 900.0, "plug": 5.0, "rest": 3_000.0}.items():
        totals.put(name, row.epoch, visits * weight, visits * weight)

    def first(measure: Measure, *, of_bought: bool = False) -> str:
        made = replace(rules(), **{"bought_measure" if of_bought else "viewed_measure": measure})
        listed = (row.together_list if of_bought else row.next_list)(made, lambda _: True, totals)
        return listed[0].product_id

    assert [first(measure) for measure in ("share", "cosine", "lift", "llr")] == ["best", "plug", "plug", "plug"]  # type: ignore[arg-type]
    assert first("lift", of_bought=True) == "plug"
    assert first("share", of_bought=True) == "best"


def rules() -> RowRules:
    return RowRules(DECAY)
