from __future__ import annotations

from benchmarks.behaviour import Size, measure


def test_every_figure_is_there() -> None:
    progress: list[int] = []
    found = measure(Size(40, 60, 5), progress.append)
    assert (found["users"], found["items"], found["history"]) == (40, 60, 5)
    assert set(found) == {
        *("users", "items", "history", "resident_bytes"),
        *("learn_us_per_event", "recommend_ms", "bytes_per_user", "bytes_per_item"),
    }
    assert set(found["recommend_ms"]) == {"p50", "p99"}
    assert found["learn_us_per_event"] > 0
    assert found["bytes_per_user"] > 100
    assert progress[-1] == 200
