from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.neighbours import ApproximateIndex, ApproximateSettings, Changes, ExactIndex, ExactSettings
from recsys.neighbours import approximate as approximate_module
from recsys.neighbours.graph import NearRows
from recsys.neighbours.index import Vector

WIDTH = 64
LISTS = ExactSettings(list_length=10, margin=4, storage="float16", batch_queries=64)


def rows(count: int, seed: int = 0) -> list[Vector]:
    rng = np.random.default_rng(seed)
    basis = np.random.default_rng(77).standard_normal((12, WIDTH))
    made = rng.standard_normal((count, 12)) @ basis + 0.4 * rng.standard_normal((count, WIDTH))
    return list((made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float16))


def index(graph_from: int = 100) -> ApproximateIndex:
    return ApproximateIndex(WIDTH, ApproximateSettings(LISTS, graph_from, directions=24, looked_at=48, effort=96))


def recall(mine: ApproximateIndex, right: ExactIndex, ids: list[str]) -> float:
    hits = total = 0
    for product_id in ids:
        exact = {near.product_id for near in right.neighbours(product_id)}
        hits += len(exact & {near.product_id for near in mine.neighbours(product_id)})
        total += len(exact)
    return hits / total


def test_lists_stay_near_the_exact_ones_while_products_come_move_and_go() -> None:
    rng = np.random.default_rng(1)
    mine, right = index(), ExactIndex(WIDTH, LISTS)
    pool = rows(1_200)
    ids = [f"p{number:04}" for number in range(1_200)]
    alive: set[str] = set()
    for at in range(0, 1_200, 60):
        fresh = dict(zip(ids[at : at + 60], pool[at : at + 60], strict=True))
        moved = dict(zip(ids[: at // 8], rows(at // 8, seed=at + 1), strict=True))
        gone = [ids[number] for number in rng.integers(at // 8, at + 1, 6)]
        off = {ids[number]: False for number in rng.integers(0, at + 60, 3)}
        fresh = {product_id: row for product_id, row in (moved | fresh).items() if product_id not in gone}
        penalties = {product_id: float(rng.integers(0, 20)) / 256 for product_id in fresh}
        changes = Changes(fresh, gone, off, penalties=penalties)
        for each in (mine, right):
            each.apply(changes)
        alive = (alive | fresh.keys()) - set(gone)
        assert len(mine) == len(right) == len(alive)
    assert mine._graph is not None
    assert recall(mine, right, sorted(alive)) > 0.97
    queries = rows(40, seed=5)
    found = zip(mine.search(queries, 10), right.search(queries, 10), strict=True)
    assert np.mean([len(set(a) & set(b)) / 10 for a, b in found]) > 0.97
    listed = {near.product_id for product_id in alive for near in mine.neighbours(product_id)}
    assert listed <= alive


def test_below_its_size_it_is_the_exact_index() -> None:
    pool = dict(zip([f"p{n}" for n in range(90)], rows(90), strict=True))
    mine, right = index(graph_from=91), ExactIndex(WIDTH, LISTS)
    for each in (mine, right):
        each.apply(Changes(pool))
    assert [mine.neighbours(i) for i in pool] == [right.neighbours(i) for i in pool]
    assert mine.take_changed() == right.take_changed()


def test_recall_is_measured_on_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approximate_module, "_OFTENEST", 8)
    pool = rows(600, seed=3)
    good = index()
    poor = ApproximateIndex(WIDTH, ApproximateSettings(LISTS, 100, directions=1, looked_at=15, effort=15))
    assert good.recall == 1.0
    for at in range(0, 600, 50):
        changes = Changes({f"p{at + n}": row for n, row in enumerate(pool[at : at + 50])})
        good.apply(changes)
        poor.apply(changes)
    assert good.recall > 0.95
    assert poor.recall < 0.7
    before = good.recall
    good.search(pool[:30], 5)
    assert good.recall == before, "reading changes nothing"


def test_one_by_one_finds_what_a_batch_finds() -> None:
    pool = rows(400, seed=9)
    batch, single, right = index(), index(), ExactIndex(WIDTH, LISTS)
    everything = Changes({f"p{n}": row for n, row in enumerate(pool)})
    batch.apply(everything)
    right.apply(everything)
    for n, row in enumerate(pool):
        single.apply(Changes({f"p{n}": row}))
    ids = list(everything.vectors)
    assert recall(batch, right, ids) > 0.97
    assert recall(single, right, ids) > 0.97


@settings(max_examples=10, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.booleans()), min_size=1, max_size=120))
def test_a_graph_answers_with_rows_that_are_there(steps: list[tuple[int, bool]]) -> None:
    pool = np.stack(rows(120)).astype(np.float32)
    graph, held = NearRows(WIDTH), dict[int, int]()
    for number, (row, removed) in enumerate(steps):
        if removed:
            held.pop(row, None)
            graph.remove(np.array([row]))
        else:
            held[row] = number
            graph.write(np.array([row]), pool[number : number + 1])
        assert len(graph) == len(held)
    near = graph.near(pool[:3], 8, 64)
    for query, answer in zip(pool[:3], near, strict=True):
        right = sorted(held, key=lambda row: -float(query @ pool[held[row]]))[:8]
        assert set(answer[answer >= 0].tolist()) == set(right)
