from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.co_visits import ActionWeights
from recsys.sessions.bought_units import BoughtUnits
from recsys.sessions.of_histories import sessions_of
from schemas.events import Action, UserHistory

purchases = st.dictionaries(st.sampled_from("ab"), st.sampled_from([0.5, 1.0, 2.0, 7.0]))


@given(st.lists(st.tuples(st.sampled_from("uvwx"), purchases), max_size=12))
def test_what_is_much_follows_from_what_shoppers_have_now(script: list[tuple[str, dict[str, float]]]) -> None:
    found, now = BoughtUnits(), dict[str, dict[str, float]]()
    for subject, units in script:
        found.put(subject, units)
        now[subject] = units
    for product_id in "ab":
        amounts = [units[product_id] for units in now.values() if product_id in units]
        least, most = min(amounts, default=1.0), max(amounts, default=1.0)
        for units in (0.5, 1.0, 2.0, 7.0):
            wanted = np.clip((units - least) / (most - least), 0.0, 1.0) if most > least else 0.0
            assert found.share(product_id, units) == pytest.approx(wanted)
    assert len(found) == len({product_id for units in now.values() for product_id in units})


def test_only_so_many_shoppers_are_kept() -> None:
    found = BoughtUnits(max_subjects=2)
    for number, subject in enumerate("uvw"):
        found.put(subject, {"a": 1.0 + number, subject: 1.0})
    assert len(found) == 3
    assert found.share("a", 2.0) == 0.0
    assert found.share("a", 3.0) == 1.0


def test_units_weigh_by_what_is_much_of_the_product() -> None:
    def bought(subject: str, **units: float) -> UserHistory:
        count = len(units)
        actions = [Action.PURCHASE] * count
        return UserHistory(subject, range(count), range(count), list(units), actions, list(units.values()), (), 0)

    histories = {
        "u": bought("u", screw=50.0, sofa=1.0),
        "v": bought("v", screw=10.0),
        "w": bought("w", screw=30.0),
    }
    numbers: dict[str, int] = {}

    def strengths(bought: BoughtUnits | None) -> dict[tuple[str, str], float]:
        found = sessions_of(
            histories,
            lambda ids: np.array([numbers.setdefault(one, len(numbers)) for one in ids], np.int32),
            ActionWeights(),
            bought,
        )
        names, owners = list(numbers), np.repeat(found.subjects, found.counts)
        return {
            (owner, names[item]): float(strength)
            for owner, item, strength in zip(owners, found.items, found.strengths, strict=True)
        }

    assert strengths(BoughtUnits()) == {
        ("u", "screw"): 6.0,
        ("u", "sofa"): 3.0,
        ("v", "screw"): 3.0,
        ("w", "screw"): 4.5,
    }
    plain = strengths(None)
    assert plain["u", "sofa"] == 3.0
    assert plain["v", "screw"] == pytest.approx(3.0 * (1.0 + np.log2(10.0)))
