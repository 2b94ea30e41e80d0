"""How many input records to take at once: all that wait, as long as a batch stays within its time."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter


class BatchLimit:
    """Shrinks in proportion when a batch takes longer than it may, and doubles again while batches are quick.

    It bounds what is under way when the group wants partitions back, or the process is asked to stop.
    """

    def __init__(self, max_records: int, max_seconds: float) -> None:
        self._max_records = max_records
        self._max_seconds = max_seconds
        self.records = max_records
        """The limit now."""

    @contextmanager
    def timed(self, records: int) -> Iterator[None]:
        """Learn from the time that a batch takes."""
        began = perf_counter()
        yield
        self.learn(records, perf_counter() - began)

    def learn(self, records: int, seconds: float) -> None:
        """A batch of this size took this long."""
        if records and seconds > self._max_seconds:
            self.records = max(1, int(records * self._max_seconds / seconds))
        elif seconds < self._max_seconds / 2:
            self.records = min(self._max_records, self.records * 2)


@contextmanager
def uncollected() -> Iterator[None]:
    """Hold the interpreter's search for cycles until afterwards.

    A large batch makes it look through all that a stage keeps again and again, for cycles that stages do not make;
    what is not part of a cycle is freed at once as ever.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
