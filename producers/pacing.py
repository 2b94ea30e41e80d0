"""The pace at which recorded events are published again."""

from __future__ import annotations

import time
from collections.abc import Callable

from schemas.errors import ConfigurationError


class Pacer:
    """Says when to go on: as fast as possible, at a rate, or as recorded.

    ``rate_per_second`` spaces events evenly, and does not make up for more than a second of delay. ``speed``
    keeps the recorded distances between event times, divided by it; an event out of order goes out at once.
    """

    def __init__(
        self,
        *,
        rate_per_second: float | None = None,
        speed: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if rate_per_second is not None and speed is not None:
            raise ConfigurationError("give a rate or as recorded, not both")
        for name, value in (("rate", rate_per_second), ("speed", speed)):
            if value is not None and not 0 < value < float("inf"):
                raise ConfigurationError(f"the {name} is {value}; give a number above 0")
        self._rate = rate_per_second
        self._speed = speed
        self._clock = clock
        self._sleep = sleep
        self._due_seconds: float | None = None
        self._first: tuple[int, float] | None = None

    def wait(self, event_time_ms: int) -> None:
        """Return when an event with this event time is due."""
        if self._rate is not None:
            self._wait_for_rate(1.0 / self._rate)
        elif self._speed is not None:
            self._wait_as_recorded(event_time_ms, self._speed)

    def _wait_for_rate(self, step_seconds: float) -> None:
        now = self._clock()
        due = now if self._due_seconds is None else max(self._due_seconds, now - 1.0)
        self._due_seconds = due + step_seconds
        self._sleep_until(due, now)

    def _wait_as_recorded(self, event_time_ms: int, speed: float) -> None:
        now = self._clock()
        if self._first is None:
            self._first = (event_time_ms, now)
        first_ms, started = self._first
        self._sleep_until(started + (event_time_ms - first_ms) / 1000.0 / speed, now)

    def _sleep_until(self, due: float, now: float) -> None:
        # Less than a millisecond cannot be slept exactly; the next event's due time makes up for it.
        if due - now >= 0.001:
            self._sleep(due - now)
