"""A real Redis server of the test run's own, on a free port and without a file."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """Its address; skips where no redis-server is installed."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("no redis-server is installed (Debian: apt-get install redis-server)")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with (folder / "redis.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _until_it_answers(port)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.kill()
        process.wait()


def _until_it_answers(port: int) -> None:
    deadline = time.monotonic() + 20
    with Redis(port=port) as redis:
        while True:
            try:
                redis.ping()
                return
            except RedisError:
                assert time.monotonic() < deadline, "Redis does not start"
                time.sleep(0.02)
