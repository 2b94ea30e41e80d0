"""A stage as a process: killed at random it leaves no trace, asked to stop it stops, and it tells how it is."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from producers.client import ShopEvents
from schemas.codec import decode
from schemas.kafka_settings import KafkaSettings
from schemas.topics import DEAD_LETTER, INTERACTION_STATE, RECOMMENDATION_UPDATED
from storefront.following import TopicFollower

SCRIPT = Path(__file__).with_name("last_seen_process.py")
KILLS = 6
EVENTS = 4_000
SHOPPERS = 50


class Process:
    """The toy stage on a port of its own, started under the same name each time."""

    def __init__(self, kafka: KafkaSettings, log: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        self._log = log
        self._environment = {
            **os.environ,
            "PYTHONPATH": str(SCRIPT.parent.parent),
            "KAFKA_BOOTSTRAP_SERVERS": ",".join(kafka.client_options()["bootstrap_servers"]),
            "KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
            "RECSYS_RUNTIME__INSTANCE": "0",
            "RECSYS_RUNTIME__METRICS_PORT": str(self.port),
        }
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            command = [sys.executable, "-W", "ignore", str(SCRIPT)]
            self.popen = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=2) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, ""
        except OSError:
            return 0, ""

    def until_ready(self) -> None:
        wait_until(lambda: self.get("/ready")[0] == 200, self.log)

    def kill(self) -> None:
        self.popen.kill()
        self.popen.wait()

    def log(self) -> str:
        return self._log.read_text()[-3_000:]


def wait_until(met: Callable[[], bool], said: Callable[[], str], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline, said()
        time.sleep(0.02)


@contextmanager
def running(kafka: KafkaSettings, folder: Path) -> Iterator[Process]:
    process = Process(kafka, folder / "stage.log")
    try:
        yield process
    finally:
        process.kill()


def viewed(kafka: KafkaSettings) -> dict[str, list[str]]:
    with TopicFollower(kafka, [INTERACTION_STATE]) as follower:
        records = [record for chunk in follower.to_end() for record in chunk]
    return {r.key.decode(): list(decode(INTERACTION_STATE.name, r.value).product_ids) for r in records}


def lists(kafka: KafkaSettings) -> dict[str, list[str]]:
    with TopicFollower(kafka, [RECOMMENDATION_UPDATED]) as follower:
        records = [record for chunk in follower.to_end() for record in chunk]
    decoded = (decode(RECOMMENDATION_UPDATED.name, record.value) for record in records)
    return {listed.subject: [item.product_id for item in listed.items] for listed in decoded}


@pytest.mark.slow
def test_killed_at_random_it_leaves_no_trace(kafka: KafkaSettings, tmp_path: Path) -> None:
    rng = random.Random(5)
    expected: dict[str, list[str]] = {}

    def publish() -> None:
        with ShopEvents(kafka) as shop:
            for number in range(EVENTS):
                user = f"u{number % SHOPPERS}"
                expected.setdefault(user, []).append(f"p{number}")
                shop.viewed(user, f"p{number}")
                time.sleep(0.002)

    publisher = threading.Thread(target=publish)
    with running(kafka, tmp_path) as process:
        publisher.start()
        for _ in range(KILLS):
            process.until_ready()
            time.sleep(rng.uniform(0.0, 0.8))
            process.kill()
            process.start()
        publisher.join()
        process.until_ready()
        wait_until(lambda: sum(map(len, viewed(kafka).values())) >= EVENTS, process.log)
    assert viewed(kafka) == expected
    assert lists(kafka) == {user: products[::-1] for user, products in expected.items()}
    with TopicFollower(kafka, [DEAD_LETTER]) as follower:
        assert list(follower.to_end()) == []


def test_stops_when_asked_and_loses_nothing(kafka: KafkaSettings, tmp_path: Path) -> None:
    with running(kafka, tmp_path) as process, ShopEvents(kafka) as shop:
        process.until_ready()
        for number in range(500):
            shop.viewed("u0", f"p{number}")
        shop.flush()
        process.popen.send_signal(signal.SIGTERM)
        assert process.popen.wait(timeout=10) == 0
        assert "stopping on SIGTERM" in process.log()
        process.start()
        wait_until(lambda: len(viewed(kafka).get("u0", [])) == 500, process.log)
    assert viewed(kafka) == {"u0": [f"p{number}" for number in range(500)]}


def test_tells_how_it_is(kafka: KafkaSettings, tmp_path: Path) -> None:
    with running(kafka, tmp_path) as process:
        process.until_ready()
        with ShopEvents(kafka) as shop:
            shop.viewed("u0", "p0")
        line = 'recsys_events_total{outcome="processed",stage="last-seen",topic="pdp-view"} 1.0'
        wait_until(lambda: line in process.get("/metrics")[1], process.log)
        assert process.get("/live")[0] == 200
        assert process.get("/elsewhere")[0] == 404


def test_says_in_one_line_that_no_kafka_answers(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    environment = {
        **os.environ,
        "PYTHONPATH": str(SCRIPT.parent.parent),
        "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{port}",
        "RECSYS_RUNTIME__CONNECT_TIMEOUT_MS": "500",
    }
    command = [sys.executable, "-W", "ignore", "-m", "cli.main", "run", "trending"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert f"no Kafka answers at 127.0.0.1:{port}" in done.stderr
    assert "recsys kafka up" in done.stderr
