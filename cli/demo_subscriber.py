"""A subscriber on a thread of its own, so that what it measures does not wait for what is drawn."""

from __future__ import annotations

import queue
import threading
import time
from typing import Any, NamedTuple

from consumers.runtime.records import Record
from storefront.following import TopicFollower

_POLL_MS = 200
_MAX_WAITING_BATCHES = 1_000


class Seen(NamedTuple):
    """Records in the order in which they were read, and when that was, milliseconds since the Unix epoch."""

    records: list[Record]
    at_ms: int


class Subscriber:
    """Reads on a thread what a follower follows; the follower is the subscriber's from ``start`` on."""

    def __init__(self, follower: TopicFollower) -> None:
        self._follower = follower
        self._seen: queue.Queue[Seen] = queue.Queue(_MAX_WAITING_BATCHES)
        self._stop = threading.Event()
        self._error: Exception | None = None
        self._goal: dict[Any, int] | None = None
        self._thread = threading.Thread(target=self._run, name="subscriber", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def take(self, timeout_seconds: float) -> list[Seen]:
        """What was read since the last call, waiting for something; raises what went wrong."""
        if self._error is not None:
            raise self._error
        taken: list[Seen] = []
        try:
            taken.append(self._seen.get(timeout=timeout_seconds))
            while True:
                taken.append(self._seen.get_nowait())
        except queue.Empty:
            return taken

    def aim_for(self, ends: dict[Any, int]) -> None:
        """Say up to where to read; ``has_arrived`` tells when it is done."""
        self._goal = ends

    @property
    def has_arrived(self) -> bool:
        """True once everything before the ends that were aimed for is read and taken."""
        return self._goal is None and self._seen.empty()

    def close(self) -> None:
        """End the thread and the follower's connections."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._follower.close()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._put(self._follower.poll(_POLL_MS))
                goal = self._goal
                if goal is not None and self._follower.has_reached(goal):
                    self._goal = None
        except Exception as error:  # raised by whoever takes
            self._error = error

    def _put(self, records: list[Record]) -> None:
        seen = Seen(records, time.time_ns() // 1_000_000)
        while records and not self._stop.is_set():
            try:
                return self._seen.put(seen, timeout=_POLL_MS / 1_000)
            except queue.Full:
                continue
        return None
