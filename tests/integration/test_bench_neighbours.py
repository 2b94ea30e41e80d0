from __future__ import annotations

from benchmarks.neighbours import NeighbourBench, bench_neighbours


def test_the_figures_are_named_as_agreed() -> None:
    progress: list[tuple[int, int]] = []
    bench = NeighbourBench(products=300, dimensions=16, batch=4, rounds=2, braycurtis_queries=2)
    found = bench_neighbours(bench, lambda *done: progress.append(done))
    assert list(found) == [
        "products", "ms_per_new_product", "sklearn_braycurtis_ms", "sklearn_cosine_ms", "faiss_flat_ms",
        "recall_at_20", "rss_mb", "loaded_products_per_s", "search",
    ]  # fmt: skip
    assert (found["products"], found.pop("search"), found["recall_at_20"]) == (300, "exact", 1.0)
    assert all(value > 0 for value in found.values())
    assert progress == [(300, 300)]
