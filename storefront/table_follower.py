"""The thread that keeps this process's tables: follows Kafka, and goes on following when Kafka was away."""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from kafka.errors import KafkaError

from consumers.runtime.records import Record
from schemas.errors import RecsysError
from schemas.kafka_settings import KafkaSettings
from schemas.topics import Topic
from storefront.following import TopicFollower

_POLL_MS = 200
_PROBE_SECONDS = 1.0
_PROBE_TIMEOUT_MS = 2_000
_RETRY_SECONDS = 1.0

_log = logging.getLogger(__name__)


class Taker(Protocol):
    """Takes records in order. Called by the following thread alone."""

    def take(self, records: Sequence[Record]) -> None:
        """Take what is new."""
        ...


class Current(Protocol):
    """Is told when everything that Kafka had is in."""

    def current(self, now_ms: int) -> None:
        """Everything that Kafka had at this time is in."""
        ...


class TableFollower:
    """Hands every record of the topics, from the beginning on, to the takers in their order."""

    def __init__(
        self,
        kafka: KafkaSettings,
        topics: Sequence[Topic],
        takers: Sequence[Taker],
        currency: Current,
        *,
        on_caught_up: Callable[[], None] = lambda: None,
    ) -> None:
        self._kafka, self._topics, self._takers, self._currency = kafka, topics, takers, currency
        self._on_caught_up = on_caught_up
        self._stopping = threading.Event()
        self._positions: Mapping[Any, int] | None = None
        self._caught_up = False
        self._thread = threading.Thread(target=self._run, name="table-follower", daemon=True)

    def start(self) -> None:
        """Begin to follow; Kafka need not be there yet."""
        self._thread.start()

    def close(self, timeout_seconds: float = 5.0) -> None:
        """Stop following."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._once()
            except (RecsysError, KafkaError) as error:
                _log.warning("the tables are not followed just now: %s", error)
            except Exception:
                _log.exception("the tables are not followed just now")
            self._stopping.wait(_RETRY_SECONDS)

    def _once(self) -> None:
        """Follow until stopped, or until something is in the way; goes on from where it was then."""
        with TopicFollower(self._kafka, self._topics, start=self._positions or "beginning") as follower:
            self._follow(follower)

    def _follow(self, follower: TopicFollower) -> None:
        ends: Mapping[Any, int] | None = None
        probed_ms, probe_at = 0, 0.0
        while not self._stopping.is_set():
            records = follower.poll(_POLL_MS)
            for taker in self._takers:
                taker.take(records)
            self._positions = follower.positions
            if ends is not None and follower.has_reached(dict(ends)):
                ends = None
                self._now_current(probed_ms)
            elif ends is None and time.monotonic() >= probe_at:
                # Asked before it is read on: what was there at this time is in once the ends are reached.
                probed_ms, probe_at = time.time_ns() // 1_000_000, time.monotonic() + _PROBE_SECONDS
                ends = follower.ends(_PROBE_TIMEOUT_MS)

    def _now_current(self, at_ms: int) -> None:
        self._currency.current(at_ms)
        if not self._caught_up:
            self._caught_up = True
            gc.freeze()  # the tables live on: the collector need not go through them again and again
            self._on_caught_up()
