"""What goes through the runtime: records as the log has them, and messages as a stage sees them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

from schemas.events import Event

Headers = Sequence[tuple[str, bytes]]


class TopicPartition(NamedTuple):
    """One partition of a topic; the topic is named without the shop's prefix."""

    topic: str
    partition: int


class Record(NamedTuple):
    """One record as the log has it: bytes, and where and when the broker put it."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers


V = TypeVar("V", bound=Event | None, covariant=True)


class Message(NamedTuple, Generic[V]):
    """One decoded record: ``value`` is the event, or None for a tombstone."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: str
    value: V
    record: Record

    @property
    def cause(self) -> str:
        """How lists that this message leads to name it in ``caused_by``."""
        return f"{self.topic}/{getattr(self.value, 'event_id', self.key)}"


class OutRecord(NamedTuple):
    """One record to be written; without a partition the key decides, as in every Kafka client."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int | None = None
    headers: Headers = ()
    timestamp_ms: int | None = None
