"""``recsys serve`` as a process, for tests that ask it over HTTP."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from schemas.kafka_settings import KafkaSettings

TOKEN = "a-token-for-these-tests"
AUTHORISED = {"Authorization": f"Bearer {TOKEN}"}


class Server:
    """A server on a port of its own; ``options`` are its settings, ``RECSYS_API__…`` without that prefix."""

    def __init__(self, kafka: KafkaSettings, folder: Path, **options: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        self.log_path = folder / f"serve-{self.port}.log"
        unlimited = {"READS_PER_SECOND", "WRITES_PER_SECOND", "IMAGE_SEARCHES_PER_SECOND"}
        self._environment = {
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": ",".join(kafka.client_options()["bootstrap_servers"]),
            "KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
            "RECSYS_API__PORT": str(self.port),
            "RECSYS_API__TOKEN": TOKEN,
            **{f"RECSYS_API__RATES__{name}": "0" for name in unlimited},
            **{f"RECSYS_API__{name}": value for name, value in options.items()},
        }
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30, headers=AUTHORISED)
        self.start()

    def start(self) -> None:
        with self.log_path.open("ab") as log:
            command = [sys.executable, "-m", "cli.main", "serve"]
            self.process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)

    def until_ready(self, seconds: float = 60.0) -> Server:
        self.until(lambda: self._status("/ready") == 200, seconds)
        return self

    def until(self, met: Callable[[], object], seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        while not met():
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.02)

    def _status(self, path: str) -> int:
        try:
            return self.client.get(path).status_code
        except httpx.HTTPError:
            return 0

    def log(self) -> str:
        return self.log_path.read_text()[-3_000:]

    def stop(self) -> int:
        """Ask it to stop; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def close(self) -> None:
        self.client.close()
        self.process.kill()
        self.process.wait()
