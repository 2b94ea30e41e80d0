"""Starts, finds and stops the embedded broker. It runs on its own, and outlives the process that started it."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from dataclasses import asdict, dataclass
from importlib import resources
from types import TracebackType
from typing import Self

import psutil
from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from deploy.embedded_kafka.broker_log import BrokerLog
from deploy.embedded_kafka.distribution import Distribution, OnFetched, find_distribution
from deploy.embedded_kafka.errors import EmbeddedKafkaError
from deploy.embedded_kafka.formatting import format_storage
from deploy.embedded_kafka.locking import locked
from deploy.embedded_kafka.process import BrokerProcess, find, signature
from deploy.embedded_kafka.server_properties import server_properties
from deploy.embedded_kafka.settings import EmbeddedKafkaSettings
from deploy.priority import step_back
from schemas.kafka_settings import KafkaSettings

LOOPBACK = "127.0.0.1"

_POLL_SECONDS = 0.1
_ANSWER_TIMEOUT_MS = 2_000


@dataclass(frozen=True, slots=True)
class BrokerStatus:
    """What is known of the broker of one data folder."""

    running: bool
    bootstrap_servers: str | None
    pid: int | None
    kafka: str | None
    """Version, and where its jars are."""
    data_dir: str
    topics: list[str] | None
    """Names on the broker; None while it does not answer."""

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


class EmbeddedKafka:
    """The broker of one data folder; in a ``with`` block it is up inside and stopped at the end."""

    def __init__(self, settings: EmbeddedKafkaSettings | None = None) -> None:
        self.settings = settings or EmbeddedKafkaSettings()
        self._folder = self.settings.data_dir.expanduser().resolve()
        self._log = BrokerLog(self._folder)

    def up(self, on_fetched: OnFetched | None = None) -> KafkaSettings:
        """Start the broker unless it runs, and return how to reach it once it answers.

        Raises ``DistributionUnavailableError`` without Java or jars, ``EmbeddedKafkaError`` for a port in use,
        a folder that holds something else or cannot be written, or a broker that does not start in time.
        """
        try:
            port = self._up(on_fetched).port
        except OSError as error:
            raise EmbeddedKafkaError(
                f"the embedded Kafka cannot use its folders: {error}; name others with --data-dir, "
                "RECSYS_DATA_DIR and RECSYS_CACHE_DIR"
            ) from error
        return KafkaSettings(bootstrap_servers=f"{LOOPBACK}:{port}")

    def down(self) -> bool:
        """Stop the broker, by force when it takes too long; False when none ran."""
        running = find(self._folder)
        if running is not None:
            running.stop(self.settings.stop_timeout_seconds)
        return running is not None

    def status(self) -> BrokerStatus:
        """What runs, without starting anything."""
        running = find(self._folder)
        if running is None:
            return BrokerStatus(False, None, None, None, str(self._folder), None)
        return BrokerStatus(
            running=True,
            bootstrap_servers=f"{LOOPBACK}:{running.port}",
            pid=running.process.pid,
            kafka=running.origin,
            data_dir=str(self._folder),
            topics=_topics(running.port),
        )

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    def _up(self, on_fetched: OnFetched | None) -> BrokerProcess:
        running = find(self._folder)
        if running is None:
            distribution = find_distribution(self.settings.cache_dir.expanduser().resolve(), on_fetched)
            self._folder.mkdir(parents=True, exist_ok=True)
            with locked(self._folder / "lock", self.settings.start_timeout_seconds, "starting this broker"):
                running = find(self._folder) or self._start(distribution)
        if self.settings.port not in (0, running.port):
            raise EmbeddedKafkaError(
                f"the broker of {self._folder} runs on port {running.port} already, not {self.settings.port}; "
                "stop it with `recsys kafka down`, or name another --data-dir"
            )
        self._wait_for_answer(running)
        return running

    def _start(self, distribution: Distribution) -> BrokerProcess:
        port = self.settings.port or free_port()
        _check_port(port)
        data = self._folder / "data"
        properties = self._folder / "server.properties"
        properties.write_text(server_properties(port, free_port(), data), encoding="ascii")
        format_storage(distribution, properties, data)
        self._log.begin()
        with resources.as_file(resources.files("deploy.embedded_kafka") / "log4j2.xml") as log4j2:
            child = self._spawn(
                [
                    str(distribution.java),
                    f"-Xmx{self.settings.heap_mb}m",
                    "-XX:+UseSerialGC",
                    "-XX:TieredStopAtLevel=1",  # optimising further costs more than it gains for minutes
                    "-XX:+ExitOnOutOfMemoryError",
                    f"-Dlog4j2.configurationFile={log4j2}",
                    f"-Drecsys.kafka.log={self._log.path}",
                    *signature(self._folder, port, distribution.origin),
                    *("-cp", distribution.classpath, "kafka.Kafka", str(properties)),
                ]
            )
            running = BrokerProcess(psutil.Process(child.pid), port, distribution.origin)
            try:
                self._wait_for_answer(running)
            except BaseException:  # an interrupt as well: what is not known to answer is not left behind
                running.stop(self.settings.stop_timeout_seconds)
                child.wait()
                raise
        return running

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        with self._log.output.open("wb") as output:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=self._folder,
            )
        step_back(child.pid, self.settings.niceness)
        return child

    def _wait_for_answer(self, running: BrokerProcess) -> None:
        deadline = time.monotonic() + self.settings.start_timeout_seconds
        while _topics(running.port) is None:
            if not running.alive:
                raise EmbeddedKafkaError(f"Kafka stopped while it started; {self._log.last_words()}")
            if time.monotonic() > deadline:
                raise EmbeddedKafkaError(
                    f"Kafka does not answer on port {running.port} after "
                    f"{self.settings.start_timeout_seconds:.0f} s; {self._log.last_words()}"
                )
            time.sleep(_POLL_SECONDS)


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


def _topics(port: int) -> list[str] | None:
    """The topics of the broker on a port, Kafka's own left out; None until it answers."""
    with socket.socket() as probe:  # the client would log every refused connection
        probe.settimeout(1.0)
        if probe.connect_ex((LOOPBACK, port)) != 0:
            return None
    try:
        admin = KafkaAdminClient(
            bootstrap_servers=f"{LOOPBACK}:{port}",
            request_timeout_ms=_ANSWER_TIMEOUT_MS,
            bootstrap_timeout_ms=_ANSWER_TIMEOUT_MS,
        )
    except KafkaError:
        return None
    try:
        return sorted(name for name in admin.list_topics() if not name.startswith("__"))
    except KafkaError:
        return None
    finally:
        admin.close()
