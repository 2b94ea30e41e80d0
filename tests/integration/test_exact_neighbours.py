from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.neighbours import Changes, ExactIndex, ExactSettings, Neighbour, id_order
from recsys.neighbours.index import Vector

DIMENSIONS = 6
IDS = [f"p{number}" for number in range(14)]


def unit(values: Iterable[float]) -> Vector:
    vector = np.array(list(values), np.float64)
    return (vector / np.linalg.norm(vector)).astype(np.float16)


# Few distinct numbers: duplicates, ties between different vectors, and near ties in the last float16 bit.
FEW = st.sampled_from([-1.0, 0.0, 0.5, 1.0, 1.0005])
VECTORS = st.lists(FEW, min_size=DIMENSIONS, max_size=DIMENSIONS).filter(any).map(unit)


@st.composite
def changes(draw: st.DrawFn) -> Changes:
    ids = draw(st.lists(st.sampled_from(IDS), unique=True, max_size=8))
    removed = draw(st.sets(st.sampled_from(ids))) if ids else set()
    vectors = {an_id: draw(VECTORS) for an_id in ids if an_id not in removed}
    listable = draw(st.dictionaries(st.sampled_from(IDS), st.booleans(), max_size=4))
    penalties = draw(st.dictionaries(st.sampled_from(IDS), st.sampled_from([0.0, 1 / 256, 0.25]), max_size=4))
    return Changes(vectors, removed, listable, penalties=penalties)


class Reference:
    """What an index holds, and every list computed from nothing, one pair at a time."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.vectors: dict[str, Vector] = {}
        self.listable: dict[str, bool] = {}
        self.penalties: dict[str, float] = {}

    def apply(self, change: Changes) -> None:
        for an_id in change.removed:
            self.vectors.pop(an_id, None)
            self.listable.pop(an_id, None)
        self.vectors |= change.vectors
        self.penalties |= {an_id: change.penalties.get(an_id, 0.0) for an_id in change.vectors}
        self.listable |= {an_id: flag for an_id, flag in change.listable.items() if an_id in self.vectors}

    def neighbours(self, product_id: str) -> list[Neighbour]:
        return self.nearest(self.vectors[product_id], [other for other in self.vectors if other != product_id])

    def nearest(self, vector: Vector, ids: Iterable[str]) -> list[Neighbour]:
        listable = [other for other in ids if self.listable.get(other, True)]
        found = [Neighbour(i, cosine(vector, self.vectors[i]) - self.penalties[i]) for i in listable]
        return sorted(found, key=lambda neighbour: (-neighbour.score, neighbour.product_id))[: self.length]

    def lists(self) -> dict[str, list[Neighbour]]:
        return {an_id: self.neighbours(an_id) for an_id in self.vectors}


def cosine(left: Vector, right: Vector) -> float:
    a, b = left.astype(np.float64), right.astype(np.float64)
    return min(float(a @ b / np.sqrt((a @ a) * (b @ b))), 1.0)


def lists_of(index: ExactIndex, ids: Iterable[str]) -> dict[str, list[Neighbour]]:
    return {an_id: index.neighbours(an_id) for an_id in ids}


def small(**changed: Any) -> ExactSettings:
    return ExactSettings(**({"list_length": 3, "margin": 1, "batch_queries": 3, "block_rows": 5} | changed))


@given(st.lists(changes(), min_size=1, max_size=8), st.integers(0, 3), st.sampled_from(["float16", "float32"]))
def test_lists_equal_a_computation_from_nothing(batches: list[Changes], margin: int, storage: str) -> None:
    check_against_reference(batches, margin=margin, storage=storage)


def check_against_reference(batches: list[Changes], **changed: Any) -> None:
    index = ExactIndex(DIMENSIONS, small(**changed))
    reference = Reference(3)
    for batch in batches:
        index.apply(batch)
        reference.apply(batch)
        assert lists_of(index, IDS) == {an_id: [] for an_id in IDS} | reference.lists()
    assert len(index) == len(reference.vectors)


@given(st.permutations(IDS), st.lists(st.sampled_from(IDS), max_size=14))
def test_ties_are_broken_alike_where_labels_of_ids_are_dealt_anew(arriving: list[str], leaving: list[str]) -> None:
    same, other = unit([1, 1, 0, 0, 0, 0]), unit([1, 0, 0, 0, 0, 0])
    batches = [Changes({an_id: same if n % 3 else other}) for n, an_id in enumerate(arriving)]
    for n, an_id in enumerate(leaving):
        batches.insert(3 * n + 2, Changes(removed=[an_id]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(id_order, "STEP", 2)
        check_against_reference(batches)


@given(st.lists(changes(), min_size=1, max_size=6), st.data())
def test_a_list_that_differs_is_reported_once(batches: list[Changes], data: st.DataObject) -> None:
    index = ExactIndex(DIMENSIONS, small())
    taken: dict[str, list[Neighbour]] = {}
    for batch in batches:
        index.apply(batch)
        if data.draw(st.booleans()):
            lists = {an_id: found for an_id, found in lists_of(index, IDS).items() if an_id in index}
            was_anew = {an_id for an_id in lists if an_id not in taken}
            differ = {an_id for an_id, found in lists.items() if found != taken.get(an_id, [])}
            changed = index.take_changed()
            assert len(changed) == len(set(changed))
            assert differ - was_anew <= set(changed) <= differ | was_anew
            assert {an_id for an_id in was_anew if lists[an_id]} <= set(changed)
            assert index.take_changed() == []
            taken = lists


@given(st.lists(changes(), min_size=1, max_size=4), VECTORS, st.integers(1, 6))
def test_a_search_finds_the_nearest(batches: list[Changes], vector: Vector, count: int) -> None:
    index, reference = ExactIndex(DIMENSIONS, small()), Reference(count)
    for batch in batches:
        index.apply(batch)
        reference.apply(batch)
    expected = reference.nearest(vector, reference.vectors)
    assert index.search([vector, vector], count) == [expected, expected]


@pytest.mark.parametrize("storage", ["float16", "float32"])
def test_lists_do_not_depend_on_how_a_large_catalogue_arrived(storage: Any) -> None:
    rng = np.random.default_rng(4)
    centres = rng.standard_normal((20, 96))
    rows = [unit(centres[number % 20] + 0.7 * rng.standard_normal(96)) for number in range(700)]
    rows[50:70] = [rows[50]] * 20  # one photograph on twenty products
    vectors = {f"product-{number:04}": row for number, row in enumerate(rows)}
    at_once = ExactIndex(96, small(list_length=10, margin=4, block_rows=128, batch_queries=64, storage=storage))
    at_once.apply(Changes(vectors))
    bit_by_bit = ExactIndex(96, small(list_length=10, margin=2, block_rows=100, batch_queries=7))
    ids = list(vectors)
    rng.shuffle(ids)
    for start in range(0, len(ids), 37):
        bit_by_bit.apply(Changes({an_id: vectors[an_id] for an_id in ids[start : start + 37]}))
    assert lists_of(at_once, ids) == lists_of(bit_by_bit, ids)
    reference = Reference(10)
    reference.apply(Changes(vectors))
    some = [*ids[:20], *(f"product-{number:04}" for number in range(48, 72))]
    assert lists_of(at_once, some) == {an_id: reference.neighbours(an_id) for an_id in some}
    assert at_once.neighbours("product-0060")[0] == Neighbour("product-0050", 1.0)


@pytest.mark.parametrize("storage", ["float16", "float32"])
def test_sketches_rule_out_nothing_that_matters(storage: Any) -> None:
    rng = np.random.default_rng(7)
    basis = rng.standard_normal((8, 64))

    def make(count: int) -> list[Vector]:
        return [unit(rng.standard_normal(8) @ basis + 0.3 * rng.standard_normal(64)) for _ in range(count)]

    sketching = ExactIndex(64, small(list_length=5, block_rows=64, sketch_from=150, storage=storage))
    plain = ExactIndex(64, small(list_length=5, block_rows=64))
    ids = [f"p{number:03}" for number in range(400)]
    for start in range(0, 400, 40):
        vectors = dict(zip(ids[start : start + 40], make(40), strict=True))
        vectors |= dict(zip(ids[start : start + 40 : 9], make(1) * 5, strict=True))
        moved = dict(zip(ids[: start // 4], make(start // 4), strict=True))
        changes = Changes(vectors | moved, ids[start - 10 : start - 5], {ids[start]: False})
        for index in (sketching, plain):
            index.apply(changes)
    assert sketching._vectors.sketch is not None
    assert plain._vectors.sketch is None
    assert lists_of(sketching, ids) == lists_of(plain, ids)
    unlike = [unit(rng.standard_normal(64)) for _ in range(5)]
    for vectors in (unlike, make(5)):
        assert sketching.search(vectors, 7) == plain.search(vectors, 7)


def test_products_that_leave_and_come_again_use_no_more_room() -> None:
    index = ExactIndex(DIMENSIONS, small())
    rng = np.random.default_rng(1)
    for round_number in range(50):
        index.apply(Changes({f"{round_number}-{n}": unit(rng.standard_normal(DIMENSIONS)) for n in range(20)}))
        index.take_changed()
        index.apply(Changes(removed=[f"{round_number}-{n}" for n in range(20)]))
        index.take_changed()
    assert len(index) == 0
    assert index._vectors.capacity == 64


def test_a_vector_that_is_not_quite_of_unit_length_is_ranked_by_its_cosine() -> None:
    index = ExactIndex(2, small())
    exact, longer = np.array([1, 0], np.float16), np.array([1.008, 0.02], np.float16)
    index.apply(Changes({"query": exact, "same": exact, "longer": longer}))
    assert [neighbour.product_id for neighbour in index.neighbours("query")] == ["same", "longer"]
    assert index.neighbours("query")[0].score == 1.0


def test_reading_changes_nothing() -> None:
    index = ExactIndex(DIMENSIONS, small())
    index.apply(Changes({"a": unit([1, 0, 0, 0, 0, 0])}))
    assert index.neighbours("unknown") == []
    assert "unknown" not in index
    assert index.search([unit([1, 1, 0, 0, 0, 0])], 2) == [[Neighbour("a", pytest.approx(0.7071, abs=1e-3))]]
    assert len(index) == 1


def test_an_empty_index_answers() -> None:
    index = ExactIndex(DIMENSIONS)
    index.apply(Changes(removed=["a"], listable={"b": True}))
    assert index.search([unit([1, 0, 0, 0, 0, 0])], 3) == [[]]
    assert index.take_changed() == []
