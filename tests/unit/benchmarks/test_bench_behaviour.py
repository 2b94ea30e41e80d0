from __future__ import annotations

from benchmarks.behaviour import Size, bench_behaviour


def test_every_figure_is_there_for_every_size() -> None:
    progress: list[tuple[int, int]] = []
    found = bench_behaviour([Size(40, 60, 5), Size(20, 30, 4)], lambda *done: progress.append(done))
    assert [(size["users"], size["items"], size["history"]) for size in found] == [(40, 60, 5), (20, 30, 4)]
    for size in found:
        assert set(size) == {
            *("users", "items", "history"),
            *("learn_us_per_event", "recommend_ms", "bytes_per_user", "bytes_per_item"),
        }
        assert set(size["recommend_ms"]) == {"p50", "p99"}
        assert size["learn_us_per_event"] > 0
        assert size["bytes_per_user"] > 100
    assert progress[-1] == (60, 60)
