from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from recsys.decay import Decay
from recsys.item_names import ItemNames, numbers_of
from recsys.item_row import RowRules
from recsys.item_rows import ItemRows
from schemas.events import CoVisits


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abcde")), max_size=30))
def test_ids_have_a_number_each_while_they_are_held(script: list[tuple[bool, str]]) -> None:
    names, held = ItemNames(), set[str]()
    for hold, item_id in script:
        number = names.find(item_id)
        assert (number is not None) == (item_id in held)
        if hold:
            held.add(item_id)
            assert names.ids[names.assign(item_id)] == item_id
        elif number is not None:
            held.remove(item_id)
            names.free(number)
    assert len(names) == len(held) == len({names.find(item_id) for item_id in held})
    assert len(names.ids) <= 5


def test_an_id_is_held_once() -> None:
    names = ItemNames()
    first = "".join(["a", "b"])
    names.assign(first)
    assert names.shared("".join(["a", "b"])) is first
    assert names.shared("other") == "other"


def test_numbers_take_two_bytes_where_they_fit() -> None:
    assert numbers_of([1, 2**16 - 1]).itemsize == 2
    assert numbers_of([1, 2**16]).itemsize == 4


def test_rows_go_on_where_numbers_no_longer_fit_two_bytes() -> None:
    rows = ItemRows(RowRules(Decay(1_000)))
    for number in range(2**16 + 2):
        rows._names.assign(f"held elsewhere {number}")
    rows._slots = [None] * (2**16 + 2)
    for product_id in ("p", "q"):
        companions = ["x", "held elsewhere 3", "y"]
        rows.add(CoVisits(product_id, [1], [0], [1.0], companions, [1] * 3, [0] * 3, [1.0] * 3, "", 0))
    for companion_id in ("x", "held elsewhere 3"):
        assert [row.product_id for row in rows.holders(companion_id)] == ["p", "q"]
    row = rows.get("p")
    assert row is not None
    assert row.companion_ids == ["held elsewhere 3", "x", "y"]
