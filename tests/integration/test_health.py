"""What a stage answers over HTTP."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from consumers.runtime.health import HealthServer
from consumers.runtime.metrics import StageMetrics
from schemas.errors import ConfigurationError

READY = {"now": False}


@pytest.fixture
def server() -> Iterator[HealthServer]:
    metrics = StageMetrics("echo")
    metrics.events("pdp-view", "processed", 3)
    server = HealthServer("127.0.0.1", 0, metrics.registry, lambda: READY["now"])
    yield server
    server.close()


def get(server: HealthServer, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_metrics_are_served_in_prometheus_own_words(server: HealthServer) -> None:
    status, text = get(server, "/metrics")
    assert status == 200
    assert 'recsys_events_total{outcome="processed",stage="echo",topic="pdp-view"} 3.0' in text


def test_a_stage_lives_before_it_is_ready(server: HealthServer) -> None:
    READY["now"] = False
    assert get(server, "/live")[0] == 200
    assert get(server, "/ready") == (503, "not ready\n")
    READY["now"] = True
    assert get(server, "/ready") == (200, "ready\n")


def test_another_path_says_which_there_are(server: HealthServer) -> None:
    assert get(server, "/") == (404, "see /metrics, /live and /ready\n")


def test_a_port_in_use_is_named(server: HealthServer) -> None:
    with pytest.raises(ConfigurationError, match=r"set RECSYS_RUNTIME__METRICS_PORT to another port"):
        HealthServer("127.0.0.1", server.port, StageMetrics("other").registry, lambda: True)
