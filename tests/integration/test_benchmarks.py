"""The benchmarks run, on little, and say what they are to say."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.api import ApiBench, bench_api
from benchmarks.behaviour import Size, bench_behaviour
from benchmarks.freshness import FreshnessBench, bench_freshness
from benchmarks.stream import StreamBench, bench_stream
from schemas.kafka_settings import KafkaSettings

pytestmark = pytest.mark.slow


def test_stream_stands_beside_an_empty_loop(kafka: KafkaSettings) -> None:
    seen: list[tuple[int, int]] = []
    result = bench_stream(
        kafka,
        StreamBench(events=900, warm_up_events=300, products=50, shoppers=50),
        lambda done, total: seen.append((done, total)),
    )
    assert result["ratio"] == pytest.approx(result["events_per_s"] / result["empty_loop_events_per_s"], abs=0.01)
    assert len(result["rounds"]) == 3
    assert seen[-1] == (1_200, 1_200)


def test_freshness_is_of_lists_that_came(kafka: KafkaSettings, tmp_path: Path) -> None:
    bench = FreshnessBench(products=30, shoppers=20, earlier_events=200, views=20, new_products=4)
    result = bench_freshness(kafka, tmp_path, bench)
    assert set(result) == {"empty_hop_ms", "view_to_list_ms", "product_to_lists_ms"}
    for times in result.values():
        assert 0 < times["p50"] <= times["p99"]


def test_pages_are_answered_without_an_error_beside_shoppers(kafka: KafkaSettings, tmp_path: Path) -> None:
    bench = ApiBench(
        products=20, shoppers=20, earlier_events=100, requests_per_second=40, seconds=2, saturation_seconds=1
    )
    result = bench_api(kafka, tmp_path, bench)
    assert {"p50_ms", "p99_ms", "requests_per_s", "errors", "saturation_requests_per_s"} <= result.keys()
    assert 0 < result["p50_ms"] <= result["p99_ms"]
    assert result["saturation_requests_per_s"] > 0
    assert result["errors"] == 0


def test_behaviour_is_measured_in_a_process_a_size() -> None:
    seen: list[tuple[int, int]] = []
    found = bench_behaviour([Size(40, 60, 5), Size(20, 30, 4)], lambda done, total: seen.append((done, total)))
    assert [(size["users"], size["items"], size["history"]) for size in found] == [(40, 60, 5), (20, 30, 4)]
    assert seen[-1] == (280, 280)
