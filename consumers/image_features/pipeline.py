"""Pictures under way: downloads and decoding on background threads, while the caller embeds.

The caller's thread alone submits, takes results and moves retries on, so that time is read in one place and
everything but the order in which downloads finish is deterministic.
"""

from __future__ import annotations

import hashlib
import heapq
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue

from consumers.image_features.cleaning import Pixels
from consumers.image_features.errors import ImageError, ImageUnreachableError, NotAnImageError
from consumers.image_features.settings import PipelineSettings, RetryPolicy


@dataclass(frozen=True, slots=True, eq=False)
class Fetched:
    """A picture that is ready: SHA-256 of its bytes, and its pixels, uint8 (224, 224, 3)."""

    ref: str
    digest: bytes
    pixels: Pixels


@dataclass(frozen=True, slots=True, eq=False)
class Failed:
    """A picture that is given up, and why."""

    ref: str
    error: ImageError
    attempts: int


Outcome = Fetched | Failed


@dataclass(slots=True, eq=False)
class _Task:
    ref: str
    url: str
    attempts: int = 0
    outcome: Outcome | None = None
    put_off: bool = False


class ImagePipeline:
    """A bounded number of pictures under way; one picture a ``ref``, a newer one replaces it.

    ``fetch`` and ``clean`` run on background threads; ``now_seconds`` (a monotonic clock) and ``rng`` decide
    when retries are due. ``retries`` counts the attempts that were put off.
    """

    def __init__(
        self,
        fetch: Callable[[str], bytes],
        clean: Callable[[bytes], Pixels],
        settings: PipelineSettings,
        retry: RetryPolicy,
        *,
        now_seconds: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        self.retries = 0
        self._fetch, self._clean = fetch, clean
        self._capacity, self._retry = settings.capacity, retry
        self._now_seconds, self._rng = now_seconds, rng or random.Random()
        self._current: dict[str, _Task] = {}
        self._work: SimpleQueue[_Task | None] = SimpleQueue()
        self._finished: deque[_Task] = deque()
        self._put_off: list[tuple[float, int, _Task]] = []
        self._something_finished = threading.Event()
        self._decoding = threading.BoundedSemaphore(settings.decoders)
        self._closed = False
        self._threads = [
            threading.Thread(target=self._run, name=f"image-fetcher-{number}", daemon=True)
            for number in range(settings.fetchers)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def free(self) -> int:
        """How many more pictures may be submitted now."""
        return self._capacity - len(self._current)

    @property
    def pending(self) -> int:
        """How many pictures are under way, those waiting for a retry or to be taken included."""
        return len(self._current)

    def submit(self, ref: str, url: str) -> None:
        """Begin with a picture; one under way for the same ``ref`` is forgotten. Needs ``free`` room."""
        if self._closed:
            raise RuntimeError("the pipeline is closed")
        if ref not in self._current and self.free <= 0:
            raise RuntimeError(f"{self._capacity} pictures are under way already; ask `free` first")
        task = _Task(ref, url)
        self._current[ref] = task
        self._work.put(task)

    def is_put_off(self, ref: str) -> bool:
        """True while a picture waits for a retry."""
        task = self._current.get(ref)
        return task is not None and task.put_off

    def cancel(self, ref: str) -> None:
        """Forget a picture; nothing is reported for it."""
        self._current.pop(ref, None)

    def ready(self, max_images: int) -> list[Outcome]:
        """Take up to ``max_images`` that are finished, in the order in which they became so."""
        self._resume_due()
        outcomes: list[Outcome] = []
        while len(outcomes) < max_images:
            self._something_finished.clear()
            try:
                task = self._finished.popleft()
            except IndexError:
                break
            if self._current.get(task.ref) is task:
                outcome = self._settled(task)
                if outcome is not None:
                    del self._current[task.ref]
                    outcomes.append(outcome)
        return outcomes

    def wait(self, timeout_seconds: float) -> bool:
        """Wait until something finished that ``ready`` may have to report; False when the time ran out."""
        return bool(self._finished) or self._something_finished.wait(timeout_seconds)

    def close(self, timeout_seconds: float = 5.0) -> None:
        """End the threads, waiting no longer than the time given; what is under way is forgotten."""
        self._closed = True
        self._current.clear()
        for _ in self._threads:
            self._work.put(None)
        until = time.monotonic() + timeout_seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _settled(self, task: _Task) -> Outcome | None:
        """The task's outcome, or None when it was put off for a retry."""
        outcome = task.outcome
        if isinstance(outcome, Failed) and outcome.error.retriable:
            asked = getattr(outcome.error, "retry_after_seconds", 0.0)
            delay = self._retry.backoff_seconds(task.attempts, self._rng, asked)
            if delay is not None:
                self._put_off_until(self._now_seconds() + delay, task)
                return None
            message = f"{outcome.error}; given up after {task.attempts} attempts: publish the product again"
            return Failed(task.ref, ImageUnreachableError(message), task.attempts)
        return outcome

    def _put_off_until(self, due_seconds: float, task: _Task) -> None:
        self.retries += 1
        task.put_off = True
        if len(self._put_off) >= 2 * self._capacity:  # mostly replaced by newer ones: keep the heap bounded too
            self._put_off = [entry for entry in self._put_off if not self._stale(entry[2])]
            heapq.heapify(self._put_off)
        heapq.heappush(self._put_off, (due_seconds, self.retries, task))

    def _resume_due(self) -> None:
        while self._put_off and (self._put_off[0][0] <= self._now_seconds() or self._stale(self._put_off[0][2])):
            task = heapq.heappop(self._put_off)[2]
            if not self._stale(task):
                task.put_off = False
                self._work.put(task)

    def _stale(self, task: _Task) -> bool:
        return self._current.get(task.ref) is not task

    def _run(self) -> None:
        while (task := self._work.get()) is not None:
            if self._stale(task):
                continue
            task.attempts += 1
            task.outcome = self._attempt(task)
            self._finished.append(task)
            self._something_finished.set()

    def _attempt(self, task: _Task) -> Outcome:
        try:
            data = self._fetch(task.url)
            with self._decoding:
                return Fetched(task.ref, hashlib.sha256(data).digest(), self._clean(data))
        except ImageError as error:
            return Failed(task.ref, error, task.attempts)
        except OSError as error:
            return Failed(task.ref, ImageUnreachableError(f"cannot be fetched: {error}"), task.attempts)
        except Exception as error:  # whatever one picture does, the thread lives on for the others
            unforeseen = NotAnImageError(f"cannot be read: {type(error).__name__} {error}")
            unforeseen.__cause__ = error
            return Failed(task.ref, unforeseen, task.attempts)
