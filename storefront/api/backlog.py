"""What waits to be handed to the producer: in order, but for topics that cannot be reached, which stand aside.

A topic that is missing on the cluster would otherwise hold up every event behind its first one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 15.0


class Sendable(Protocol):
    """Something for a topic."""

    topic_name: str


E = TypeVar("E", bound=Sendable)


@dataclass(slots=True)
class _Aside(Generic[E]):
    """A topic's entries, and when it is tried again; the pause doubles with each failure."""

    pause_seconds: float
    until: float
    entries: deque[E] = field(default_factory=deque)


class Backlog(Generic[E]):
    """Entries by topic; times are in seconds of a monotonic clock. Not safe to share between threads by itself."""

    def __init__(self) -> None:
        self._queue: deque[E] = deque()
        self._aside: dict[str, _Aside[E]] = {}

    def extend(self, entries: Iterable[E]) -> None:
        """Put entries at the end."""
        self._queue.extend(entries)

    def pop(self, now: float) -> E | None:
        """The next one whose topic may be tried; None where there is none now."""
        for aside in self._aside.values():
            if aside.entries and aside.until <= now:
                return aside.entries.popleft()
        while self._queue:
            entry = self._queue.popleft()
            aside_now = self._aside.get(entry.topic_name)
            if aside_now is None:
                return entry
            aside_now.entries.append(entry)
        return None

    def put_aside(self, entry: E, now: float) -> None:
        """The topic of an entry could not be reached: it waits, with all that comes for it."""
        before = self._aside.get(entry.topic_name)
        pause = FIRST_PAUSE_SECONDS if before is None else min(2 * before.pause_seconds, LONGEST_PAUSE_SECONDS)
        entries = deque[E]() if before is None else before.entries
        entries.appendleft(entry)
        self._aside[entry.topic_name] = _Aside(pause, now + pause, entries)

    def reached(self, topic_name: str) -> None:
        """The topic takes entries again: those that waited for it go first."""
        aside = self._aside.pop(topic_name, None)
        if aside is not None:
            self._queue.extendleft(reversed(aside.entries))

    def wait_seconds(self, now: float) -> float | None:
        """How long until a topic is to be tried again; None where none waits."""
        untils = [aside.until for aside in self._aside.values() if aside.entries]
        return max(0.0, min(untils) - now) if untils else None

    def drain(self) -> list[E]:
        """Everything that waits; nothing does afterwards."""
        left = [*self._queue, *(entry for aside in self._aside.values() for entry in aside.entries)]
        self._queue.clear()
        self._aside.clear()
        return left
