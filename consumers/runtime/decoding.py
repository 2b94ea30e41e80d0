"""From records to messages: decode, check the key and the clock; what fails becomes a dead letter."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from consumers.runtime.outbox import Outbox
from consumers.runtime.records import Message, Record
from consumers.runtime.stage import AnyMessage, StageSpec
from schemas.codec import decode_many, decoder, is_flat
from schemas.errors import ContractError, FutureEventError, InvalidEventError
from schemas.events import Event
from schemas.keys import check_key
from schemas.topics import TOPICS

FUTURE_TOLERANCE_MS = 300_000
"""How far an event may be dated ahead of the broker's timestamp before it is refused."""

_MANY = 256
"""Records from which on reading them together is quicker."""

_CLOCKED = frozenset(name for name, topic in TOPICS.items() if topic.broker_time)


class Decoder:
    """Decodes the records of one stage's inputs, tables and changelogs."""

    def __init__(self, spec: StageSpec, wants: Callable[[str, str], bool] = lambda topic, key: True) -> None:
        self._wants = wants
        self._undecoded = spec.undecoded
        topics = (*spec.inputs, *spec.tables, *spec.changelogs)
        self._decoders: dict[str, Callable[[bytes], Event]] = {t.name: decoder(t.name) for t in topics}
        self._flat = frozenset(topic.name for topic in spec.inputs if is_flat(topic.name))

    def inputs(self, records: Sequence[Record], out: Outbox) -> list[AnyMessage]:
        """Messages in order; unreadable, misplaced and future-dated ones go to ``out`` as dead letters."""
        messages: list[AnyMessage] = []
        for record, event in zip(records, self._read_together(records), strict=True):
            try:
                message = self._message(record, event)
                if message.value is None:
                    _check_tombstone(record)
                elif record.topic in _CLOCKED:
                    _check_clock(message)
            except ContractError as error:
                out.refuse(undecoded(record), error)
            else:
                messages.append(message)
        return messages

    def tables(self, records: Sequence[Record]) -> list[AnyMessage]:
        """Messages of followed tables; unreadable ones are left out, for their owner writes the dead letter."""
        messages: list[AnyMessage] = []
        for record in records:
            try:
                key = _key(record)
                if not self._wants(record.topic, key):
                    continue
                messages.append(
                    _as_bytes(record, key) if record.topic in self._undecoded else self._message(record)
                )
            except ContractError:
                continue
        return messages

    def changelog(self, records: Sequence[Record]) -> list[AnyMessage]:
        """Messages of a changelog; one that cannot be read stops the restore, for state would be missing."""
        return [self._message(record) for record in records if self._wants(record.topic, _key(record))]

    def _read_together(self, records: Sequence[Record]) -> list[Event | None]:
        """What can be read topic by topic; None for the others."""
        events: list[Event | None] = [None] * len(records)
        if len(records) < _MANY or not self._flat:
            return events
        places: dict[str, list[int]] = {}
        for place, record in enumerate(records):
            if record.value is not None and record.topic in self._flat:
                places.setdefault(record.topic, []).append(place)
        for topic, own in places.items():
            for place, event in zip(own, decode_many(topic, [records[n].value or b"" for n in own]), strict=True):
                events[place] = event
        return events

    def _message(self, record: Record, event: Event | None = None) -> AnyMessage:
        """A message; ``event`` is what is in it, where that was read already."""
        key = _key(record)
        topic, partition, offset, timestamp_ms, _, value, _ = record
        if value is None:
            return Message(topic, partition, offset, timestamp_ms, key, None, record)
        if event is None:
            event = self._decoders[topic](value)
        check_key(event, key)
        return Message(topic, partition, offset, timestamp_ms, key, event, record)


def _key(record: Record) -> str:
    if record.key is None:
        raise InvalidEventError(f"a message on {record.topic} has no key; give the one that the topic names")
    try:
        return record.key.decode()
    except UnicodeDecodeError as error:
        raise InvalidEventError(f"the message key is not UTF-8: {record.key[:40]!r}") from error


def undecoded(record: Record) -> AnyMessage:
    """A stand-in for a record that gives no message, to name it in dead letters and counts."""
    return _as_bytes(record, "")


def _as_bytes(record: Record, key: str) -> AnyMessage:
    return Message(record.topic, record.partition, record.offset, record.timestamp_ms, key, None, record)


def _check_tombstone(record: Record) -> None:
    if not TOPICS[record.topic].compacted:
        raise InvalidEventError(f"a message on {record.topic} has no value; a null value means nothing there")


def _check_clock(message: AnyMessage) -> None:
    ahead_ms = message.value.event_time_ms - message.timestamp_ms
    if ahead_ms > FUTURE_TOLERANCE_MS:
        raise FutureEventError(
            f"the event is dated {ahead_ms} ms ahead of the broker's timestamp, more than "
            f"{FUTURE_TOLERANCE_MS} ms; set the sender's clock, or give event_time_ms in milliseconds"
        )
