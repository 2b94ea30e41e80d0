"""A real Prometheus scrapes a stage's metrics and answers every query of the dashboard."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from consumers.runtime.health import HealthServer
from consumers.runtime.metrics import StageMetrics

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "deploy/prometheus/prometheus.yml"
PROMETHEUS = shutil.which("prometheus")
PROMTOOL = shutil.which("promtool")
START_SECONDS = 60.0


@pytest.fixture
def scraped(tmp_path: Path) -> Iterator[str]:
    """Address of a Prometheus that has scraped a stage."""
    metrics = StageMetrics("interactions")
    metrics.events("pdp-view", "processed", 5)
    metrics.lists([("for-you", 0)], 20)
    health = HealthServer("127.0.0.1", 0, metrics.registry, lambda: True)
    config = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    config["global"]["scrape_interval"] = "1s"
    (job,) = config["scrape_configs"]
    del job["dns_sd_configs"]  # there are no containers to be found by name
    job["static_configs"] = [{"targets": [f"127.0.0.1:{health.port}"]}]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    assert PROMETHEUS is not None
    process = subprocess.Popen(
        [
            PROMETHEUS,
            f"--config.file={tmp_path}/prometheus.yml",
            f"--storage.tsdb.path={tmp_path}/data",
            f"--web.listen-address={address}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _answer(address, "recsys_events_total"):
            assert process.poll() is None
            assert time.monotonic() < deadline, "Prometheus has not scraped the stage"
            time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.wait(10)
        health.close()


def _answer(address: str, query: str) -> list[Any]:
    url = f"http://{address}/api/v1/query?" + urllib.parse.urlencode({"query": query})
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            said = json.load(answer)
    except OSError:
        return []
    assert said["status"] == "success", said
    found: list[Any] = said["data"]["result"]
    return found


@pytest.mark.skipif(PROMTOOL is None, reason="there is no promtool on the PATH")
def test_prometheus_takes_its_configuration() -> None:
    assert PROMTOOL is not None
    done = subprocess.run(
        [PROMTOOL, "check", "config", str(CONFIG)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(PROMETHEUS is None, reason="there is no prometheus on the PATH")
def test_every_query_of_the_dashboard_is_answered(scraped: str) -> None:
    dashboard = json.loads((ROOT / "deploy/grafana/dashboards/overview.json").read_text(encoding="utf-8"))
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    for query in queries:
        url = f"http://{scraped}/api/v1/query?"
        text = urllib.parse.urlencode({"query": query.replace("$__rate_interval", "1m")})
        with urllib.request.urlopen(url + text, timeout=5) as answer:
            assert json.load(answer)["status"] == "success", query
    (events,) = _answer(scraped, "recsys_events_total")
    assert events["value"][1] == "5"
