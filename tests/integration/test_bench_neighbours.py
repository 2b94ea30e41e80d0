from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from benchmarks import neighbours
from benchmarks.neighbours import NeighbourBench, bench_neighbours


def test_the_figures_are_named_as_agreed() -> None:
    progress: list[tuple[int, int]] = []
    bench = NeighbourBench(products=300, dimensions=16, batch=4, rounds=2, braycurtis_queries=2)
    found = bench_neighbours(bench, lambda *done: progress.append(done))
    assert list(found) == [
        "products", "ms_per_new_product", "ms_of_one_alone", "sklearn_braycurtis_ms", "sklearn_cosine_ms",
        "faiss_flat_ms", "recall_at_20", "rss_mb", "search", "growth",
    ]  # fmt: skip
    assert (found["products"], found.pop("search"), found["recall_at_20"]) == (300, "exact", 1.0)
    assert [(size["since_products"], size["products"]) for size in found.pop("growth")] == [(0, 300)]
    assert all(value > 0 for value in found.values())
    assert progress == [(300, 300)]


def test_figures_of_sizes_on_the_way_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "_SIZES", (250, 1_000))
    sizes: list[Mapping[str, Any]] = []
    bench = NeighbourBench(products=300, dimensions=16, batch=4, rounds=1, braycurtis_queries=2)
    growth = bench_neighbours(bench, on_size=sizes.append)["growth"]
    assert [size["products"] for size in growth] == [250, 300]
    assert sizes == growth[:1]
    assert sizes[0]["recall_at_20"] == 1.0
