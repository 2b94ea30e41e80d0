"""One process at a time: a lock on a file that ends with the process that holds it."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.embedded_kafka.errors import EmbeddedKafkaError

_POLL_SECONDS = 0.1


@contextmanager
def locked(path: Path, timeout_seconds: float, what: str) -> Iterator[None]:
    """Hold the lock; raises ``EmbeddedKafkaError`` when another process holds it for longer than the timeout."""
    deadline = time.monotonic() + timeout_seconds
    with path.open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise EmbeddedKafkaError(
                        f"another process has been {what} for over {timeout_seconds:.0f} s ({path}); end it first"
                    ) from None
                time.sleep(_POLL_SECONDS)
        yield
