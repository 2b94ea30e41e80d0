from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recsys.neighbours import id_order
from recsys.neighbours.id_order import IdOrder

BATCHES = st.lists(st.tuples(st.booleans(), st.sets(st.text("abc", max_size=4), max_size=10)), max_size=12)


@given(BATCHES, st.sampled_from([2, 8, 1 << 32]))
def test_labels_stand_in_the_order_of_the_ids(batches: list[tuple[bool, set[str]]], step: int) -> None:
    known: dict[str, int] = {}
    original, id_order.STEP = id_order.STEP, step
    try:
        order = IdOrder()
        for adding, ids in batches:
            if adding:
                new = ids - known.keys()
                relabelling = order.add(new)
                if relabelling is not None:
                    old = list(known)
                    known = dict(zip(old, relabelling(np.array([known[i] for i in old])).tolist(), strict=True))
                known |= zip(sorted(new), order.labels(sorted(new)).tolist(), strict=True)
            else:
                gone = ids & known.keys()
                order.remove(gone)
                known = {an_id: label for an_id, label in known.items() if an_id not in gone}
            assert order.labels(list(known)).tolist() == list(known.values())
            assert sorted(known, key=known.__getitem__) == sorted(known)
            assert len(set(known.values())) == len(known) == len(order)
    finally:
        id_order.STEP = original


def test_ids_that_fall_into_one_gap_again_and_again_find_room() -> None:
    order = IdOrder()
    order.add(["a", "z"])
    relabelled = 0
    for number in range(200):
        relabelled += order.add([f"b{number:03}"]) is not None
    ids = ["a", *(f"b{number:03}" for number in range(200)), "z"]
    labels = order.labels(ids)
    assert (np.diff(labels) > 0).all()
    assert 0 < relabelled < 20
