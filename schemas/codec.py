"""Avro single-object encoding: marker, fingerprint of the writer's schema, body.

Source: Apache Avro 1.12 specification, "Single-object encoding". A reader learns the writer's schema from
the message itself, so old and new writers can be mixed on one topic.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import fields
from io import BytesIO
from itertools import repeat
from typing import Any

from fastavro import schemaless_reader
from fastavro.read import SchemaResolutionError

from schemas import events
from schemas.errors import (
    ContractError,
    InvalidEventError,
    OversizeMessageError,
    TruncatedMessageError,
    UnknownSchemaError,
)
from schemas.packing import packed_fields, unpack
from schemas.reading import FlatReader
from schemas.registry import EVENT_TYPES, Contract, contract, current_schema
from schemas.topics import TOPICS, Topic
from schemas.writing import UNFIT, writer

MARKER = b"\xc3\x01"
HEADER_BYTES = len(MARKER) + 8

_UNREADABLE = (EOFError, IndexError, SchemaResolutionError, ValueError, TypeError, OverflowError, MemoryError)
"""What the library raises for bytes that are not what their schema says."""

_TOPIC_OF = {event_type: TOPICS[name] for name, event_type in EVENT_TYPES.items()}


def topic_of(event: events.Event) -> Topic:
    """The topic that an event belongs on."""
    return _TOPIC_OF[type(event)]


class _TopicCodec:
    """Writes and reads one topic's values."""

    def __init__(self, topic_name: str) -> None:
        self._contract: Contract = contract(topic_name)
        self._type = EVENT_TYPES[topic_name]
        schema = current_schema(topic_name)
        self._names = [field["name"] for field in schema["fields"]]
        self._write = writer(schema)
        self._packed = tuple(packed_fields(schema))
        self._header = MARKER + self._contract.fingerprint
        self._set_fields = [getattr(self._type, field.name).__set__ for field in fields(self._type)]
        self._validate: Callable[[Any], object] = getattr(self._type, "__post_init__", bool)
        self._flat = FlatReader.of(schema, self._header)

    def encode(self, event: events.Event) -> bytes:
        try:
            data = self._header + self._write(event)
        except UNFIT as error:
            raise InvalidEventError(f"{type(event).__name__} does not fit its schema: {error}") from error
        self._check_size(data)
        return data

    def decode(self, data: bytes) -> events.Event:
        self._check_size(data)
        if len(data) < HEADER_BYTES:
            raise TruncatedMessageError(f"{len(data)} bytes are fewer than the {HEADER_BYTES} of a header")
        if data[:2] != MARKER:
            raise UnknownSchemaError(
                f"message on {self._contract.topic_name} does not begin with c301; "
                "write Avro single-object encoding"
            )
        record = self._read_body(data)
        if self._type is events.RecommendationUpdated:
            record["items"] = tuple(events.ListedProduct(**item) for item in record["items"])
        event: events.Event = self._type(*record.values())  # in the order of the schema, which the types have too
        return event

    @property
    def is_flat(self) -> bool:
        return self._flat is not None

    def decode_many(self, data: Sequence[bytes]) -> list[events.Event | None]:
        if self._flat is None or max(map(len, data), default=0) > self._contract.max_message_bytes:
            return [None] * len(data)
        columns, read = self._flat.columns(data)
        made: list[events.Event] = list(map(object.__new__, repeat(self._type, len(data))))
        for set_field, column in zip(self._set_fields, columns, strict=True):
            # As __init__ does it, but for all of a column, at half the cost.
            deque(map(set_field, made, column), 0)
        return [
            event if sound and self._is_valid(event) else None for event, sound in zip(made, read, strict=True)
        ]

    def _is_valid(self, event: events.Event) -> bool:
        try:
            self._validate(event)
        except ContractError:
            return False
        return True

    def _read_body(self, data: bytes) -> dict[str, Any]:
        schemas = self._contract
        writer = schemas.writers.get(data[2:HEADER_BYTES])
        if writer is None:
            raise UnknownSchemaError(
                f"no schema of {schemas.topic_name} has the fingerprint {data[2:HEADER_BYTES].hex()}; "
                "upgrade this reader, or publish the writer's schema to schemas/published"
            )
        body = BytesIO(data)
        body.seek(HEADER_BYTES)
        reader = None if writer is schemas.reader else schemas.reader
        try:
            record: dict[str, Any] = schemaless_reader(body, writer, reader)  # type: ignore[assignment]
            if reader is not None:
                record = {name: record[name] for name in self._names}
            for name, type_code in self._packed:
                record[name] = unpack(type_code, record[name])
        except _UNREADABLE as error:
            # At the end an IndexError is a number that is not there; before it, a union's branch.
            if isinstance(error, EOFError) or (isinstance(error, IndexError) and body.tell() == len(data)):
                raise TruncatedMessageError(f"message on {schemas.topic_name} ends before its schema") from error
            raise ContractError(f"message on {schemas.topic_name} cannot be read: {error}") from error
        if body.tell() != len(data):
            raise TruncatedMessageError(
                f"message on {schemas.topic_name} goes on for {len(data) - body.tell()} bytes after its schema"
            )
        return record

    def _check_size(self, data: bytes) -> None:
        if len(data) > self._contract.max_message_bytes:
            raise OversizeMessageError(
                f"{len(data)} bytes on {self._contract.topic_name} are more than the "
                f"{self._contract.max_message_bytes} that the topic takes"
            )


_CODECS: dict[str, _TopicCodec] = {}


def _codec(topic_name: str) -> _TopicCodec:
    codec = _CODECS.get(topic_name)
    if codec is None:
        codec = _CODECS[topic_name] = _TopicCodec(topic_name)
    return codec


def encode(event: events.Event) -> bytes:
    """One event as the bytes of its topic; raises ``ContractError`` where it does not fit."""
    return _codec(topic_of(event).name).encode(event)


def decode(topic_name: str, data: bytes) -> events.Event:
    """The event in a message of a topic (named without prefix); raises ``ContractError`` with the reason."""
    return _codec(topic_name).decode(data)


def is_flat(topic_name: str) -> bool:
    """True for a topic whose messages ``decode_many`` can read."""
    return _codec(topic_name).is_flat


def decode_many(topic_name: str, data: Sequence[bytes]) -> list[events.Event | None]:
    """The events in messages of a topic, in less than half the time; None for a message to ``decode`` alone.

    That is one that is unusual or cannot be read, and any of a topic whose schema is not flat.
    """
    return _codec(topic_name).decode_many(data)


def decoder(topic_name: str) -> Callable[[bytes], events.Event]:
    """``decode`` with the topic already looked up, for loops."""
    return _codec(topic_name).decode
