"""What a list that changes is put down to."""

from __future__ import annotations

from typing import Any, NamedTuple

from consumers.runtime.records import Message


class Cause(NamedTuple):
    """The event that led to a change, as lists name it; the newest is the greatest."""

    caused_at_ms: int
    caused_by: str
    event_time_ms: int

    @classmethod
    def of(cls, message: Message[Any]) -> Cause:
        """A message as a cause; a tombstone has no time of its own, and counts as of the broker's."""
        value = message.value
        event_time_ms = message.timestamp_ms if value is None else value.event_time_ms
        return cls(message.timestamp_ms, message.cause, event_time_ms)


NO_CAUSE = Cause(0, "", 0)
"""Before anything happened."""
