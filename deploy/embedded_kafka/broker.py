"""Starts, finds and stops the embedded broker. It runs on its own, and outlives the process that started it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections import deque
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from deploy.embedded_kafka.distribution import Distribution, OnFetched, find_distribution
from deploy.embedded_kafka.errors import EmbeddedKafkaError
from deploy.embedded_kafka.formatting import format_storage
from deploy.embedded_kafka.locking import locked
from deploy.embedded_kafka.server_properties import server_properties
from deploy.embedded_kafka.settings import EmbeddedKafkaSettings
from schemas.kafka_settings import KafkaSettings

LOOPBACK = "127.0.0.1"

_POLL_SECONDS = 0.1
_ANSWER_TIMEOUT_MS = 2_000
_KILL_SECONDS = 10.0
_LAST_LINES = 8


@dataclass(frozen=True, slots=True)
class BrokerStatus:
    """What is known of the broker of one data folder."""

    running: bool
    bootstrap_servers: str | None
    pid: int | None
    kafka: str | None
    data_dir: str

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Running:
    """What ``broker.json`` says: the process, told from another with the same pid by when it was created."""

    pid: int
    created: float
    port: int
    kafka: str

    def process(self) -> psutil.Process | None:
        try:
            process = psutil.Process(self.pid)
            alive = process.status() != psutil.STATUS_ZOMBIE
            return process if alive and abs(process.create_time() - self.created) < 1.0 else None
        except psutil.Error:
            return None


class EmbeddedKafka:
    """The broker of one data folder; in a ``with`` block it is up inside and stopped at the end."""

    def __init__(self, settings: EmbeddedKafkaSettings | None = None) -> None:
        self.settings = settings or EmbeddedKafkaSettings()
        self._folder = self.settings.data_dir
        self._log_path = self._folder / "kafka.log"

    def up(self, on_fetched: OnFetched | None = None) -> KafkaSettings:
        """Start the broker unless it runs, and return how to reach it once it answers.

        Raises ``DistributionUnavailableError`` without Java or jars, ``EmbeddedKafkaError`` for a port in use,
        a folder that holds something else, or a broker that does not start in time.
        """
        running = self._running()
        if running is None:
            distribution = find_distribution(self.settings.cache_dir, on_fetched)
            self._folder.mkdir(parents=True, exist_ok=True)
            with locked(self._folder / "lock", self.settings.start_timeout_seconds, "starting this broker"):
                running = self._running() or self._start(distribution)
        elif self.settings.port not in (0, running.port):
            raise EmbeddedKafkaError(
                f"the broker of {self._folder} runs on port {running.port} already, not {self.settings.port}; "
                "stop it with `recsys kafka down`, or name another --data-dir"
            )
        self._wait_for_answer(running)
        return KafkaSettings(bootstrap_servers=f"{LOOPBACK}:{running.port}")

    def down(self) -> bool:
        """Stop the broker, by force when it takes too long; False when none ran."""
        running = self._running()
        process = running.process() if running is not None else None
        if process is not None:
            process.terminate()
            try:
                process.wait(self.settings.stop_timeout_seconds)
            except psutil.TimeoutExpired:
                process.kill()
                process.wait(_KILL_SECONDS)
        self._state_path.unlink(missing_ok=True)
        return process is not None

    def status(self) -> BrokerStatus:
        """What runs, without starting anything."""
        running = self._running()
        if running is None:
            return BrokerStatus(False, None, None, None, str(self._folder))
        return BrokerStatus(True, f"{LOOPBACK}:{running.port}", running.pid, running.kafka, str(self._folder))

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    @property
    def _state_path(self) -> Path:
        return self._folder / "broker.json"

    def _running(self) -> _Running | None:
        """The broker that runs on this folder; what a stopped one left behind does not count."""
        try:
            said = json.loads(self._state_path.read_text(encoding="utf-8"))
            running = _Running(int(said["pid"]), float(said["created"]), int(said["port"]), str(said["kafka"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return running if running.process() is not None else None

    def _start(self, distribution: Distribution) -> _Running:
        port = self.settings.port or free_port()
        _check_port(port)
        data = self._folder / "data"
        properties = self._folder / "server.properties"
        properties.write_text(server_properties(port, free_port(), data), encoding="utf-8")
        format_storage(distribution, properties, data)
        with resources.as_file(resources.files("deploy.embedded_kafka") / "log4j2.xml") as log4j2:
            command = [
                str(distribution.java),
                f"-Xmx{self.settings.heap_mb}m",
                "-XX:+UseSerialGC",
                "-XX:+ExitOnOutOfMemoryError",
                f"-Dlog4j2.configurationFile={log4j2}",
                f"-Drecsys.kafka.log={self._log_path}",
                *("-cp", distribution.classpath, "kafka.Kafka", str(properties)),
            ]
            with (self._folder / "kafka.out").open("wb") as output:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    cwd=self._folder,
                )
            running = _Running(process.pid, psutil.Process(process.pid).create_time(), port, distribution.origin)
            self._state_path.write_text(json.dumps(asdict(running)), encoding="utf-8")
            self._wait_for_answer(running, process)
        return running

    def _wait_for_answer(self, running: _Running, child: subprocess.Popen[bytes] | None = None) -> None:
        deadline = time.monotonic() + self.settings.start_timeout_seconds
        while not _answers(running.port):
            died = child.poll() is not None if child is not None else running.process() is None
            if died:
                self._state_path.unlink(missing_ok=True)
                raise EmbeddedKafkaError(f"Kafka stopped while it started; {self._last_words()}")
            if time.monotonic() > deadline:
                raise EmbeddedKafkaError(
                    f"Kafka does not answer on port {running.port} after "
                    f"{self.settings.start_timeout_seconds:.0f} s; {self._last_words()}"
                )
            time.sleep(_POLL_SECONDS)

    def _last_words(self) -> str:
        lines: deque[str] = deque(maxlen=_LAST_LINES)
        for path in (self._folder / "kafka.out", self._log_path):
            if path.is_file():
                lines.extend(path.read_text(encoding="utf-8", errors="replace").splitlines()[-_LAST_LINES:])
        return f"its log is {self._log_path}" + (" and ends:\n" + "\n".join(lines) if lines else "")


def free_port() -> int:
    """A port on loopback that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        if os.name == "posix":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise EmbeddedKafkaError(
                f"port {port} on {LOOPBACK} cannot be used ({error.strerror}); choose another with --port, or, if "
                "that is your own Kafka, set KAFKA_BOOTSTRAP_SERVERS"
            ) from error


def _answers(port: int) -> bool:
    """True once the broker serves metadata."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        if probe.connect_ex((LOOPBACK, port)) != 0:
            return False
    try:
        admin = KafkaAdminClient(
            bootstrap_servers=f"{LOOPBACK}:{port}",
            request_timeout_ms=_ANSWER_TIMEOUT_MS,
            bootstrap_timeout_ms=_ANSWER_TIMEOUT_MS,
        )
    except KafkaError:
        return False
    try:
        admin.list_topics()
        return True
    except KafkaError:
        return False
    finally:
        admin.close()
