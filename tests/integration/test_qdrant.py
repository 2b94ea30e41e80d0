from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.similar_products.qdrant import QdrantRows, connect
from consumers.similar_products.settings import SimilarProductsSettings
from recsys.neighbours import ApproximateIndex, ApproximateSettings, Changes, ExactIndex, ExactSettings
from recsys.neighbours.index import NeighbourIndex

pytest.importorskip("qdrant_client", reason="qdrant-client is not installed (dependency group qdrant)")

# The local mode looks at every vector.
pytestmark = pytest.mark.filterwarnings("ignore:Local mode performs exact")

WIDTH = 32
LISTS = ExactSettings(5, 2)


def rows(count: int, seed: int = 0) -> np.ndarray:
    basis = np.random.default_rng(77).standard_normal((10, WIDTH))
    made = np.random.default_rng(seed).standard_normal((count, 10)) @ basis
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float16)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=1, max_size=25))
def test_the_database_answers_with_the_rows_that_are_there(steps: list[tuple[int, bool]]) -> None:
    pool = rows(25).astype(np.float32)
    database, held = QdrantRows(connect(":memory:"), WIDTH), dict[int, int]()
    for number, (row, removed) in enumerate(steps):
        if removed:
            held.pop(row, None)
            database.remove(np.array([row]))
        else:
            held[row] = number
            database.write(np.array([row]), pool[number : number + 1])
        assert len(database) == len(held)
    for query, answer in zip(pool[:3], database.near(pool[:3], 4, 64), strict=True):
        right = sorted(held, key=lambda row: -float(query @ pool[held[row]]))[:4]
        assert set(answer[answer >= 0].tolist()) == set(right)
    database.close()


def test_lists_over_the_database_stay_near_the_exact_ones() -> None:
    make = ApproximateSettings(
        LISTS, 60, directions=16, looked_at=30, make_graph=lambda width: QdrantRows(connect(":memory:"), width)
    )
    mine, right = ApproximateIndex(WIDTH, make), ExactIndex(WIDTH, LISTS)
    pool = rows(240)
    for at in range(0, 240, 40):
        fresh = {f"p{at + n}": row for n, row in enumerate(pool[at : at + 40])}
        moved = {f"p{n}": row for n, row in enumerate(rows(at // 8, seed=at))}
        gone = [f"p{at - 3}"] if at else []
        for index in (mine, right):
            index.apply(Changes(fresh | moved, gone, {f"p{at}": False}))
    assert mine.uses_graph

    def lists(index: NeighbourIndex) -> list[set[str]]:
        return [{near.product_id for near in index.neighbours(f"p{n}")} for n in range(240)]

    hits = sum(len(a & b) for a, b in zip(lists(mine), lists(right), strict=True))
    assert hits / sum(map(len, lists(right))) > 0.95


def test_a_shop_names_its_database_in_the_configuration() -> None:
    configured = SimilarProductsSettings(search="approximate", qdrant_url=":memory:")
    index = configured.make_index(WIDTH)
    index.apply(Changes({f"p{n}": row for n, row in enumerate(rows(1_000))}))
    assert isinstance(index, ApproximateIndex)
    assert isinstance(index._graph, QdrantRows)
    assert len(index.neighbours("p0")) == 20
