from __future__ import annotations

from benchmarks.photo_search import PhotoBench, bench_photo_search


def test_a_search_by_photo_is_timed() -> None:
    progress: list[tuple[int, int]] = []
    bench = PhotoBench(products=200, width=120, height=160, rounds=1)
    found = bench_photo_search(bench, lambda *done: progress.append(done))
    assert list(found) == ["products", "photo_bytes", "search_ms", "search_in_category_ms", "embed_ms"]
    assert all(value > 0 for value in found.values())
    assert progress == [(200, 200)]
