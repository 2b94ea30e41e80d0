from __future__ import annotations

from xml.etree.ElementTree import fromstring

from benchmarks.behaviour import Size, measure
from benchmarks.behaviour_plot import drawn


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


def test_what_was_measured_is_drawn_with_its_aims() -> None:
    size = {"users": 1_000, "items": 300, "history": 20, "bytes_per_user": 900, "bytes_per_item": 5_000}
    figures = [size | {"learn_us_per_event": 88.5, "recommend_ms": {"p50": 0.4, "p99": 2.5}}]
    picture = fromstring(drawn(figures))
    bars = [bar.attrib for bar in picture.iter("{http://www.w3.org/2000/svg}rect")]
    assert [bar["fill"] for bar in bars] == ["#2a9d6f", "#2a9d6f", "#d1603d", "#2a9d6f", "#d1603d"]
    assert float(bars[0]["width"]) == 520 * 0.885
    assert "1,000 × 300 × 20" in "".join(picture.itertext())
