"""What a dead letter says: which message was refused, by which stage, and why."""

from __future__ import annotations

from typing import NamedTuple

from consumers.runtime.records import Record
from schemas.topics import DEAD_LETTER

_PREFIX = "__connect.errors."


class DeadLetter(NamedTuple):
    """The refused message's place on the log, its key, and the reason."""

    topic: str
    partition: int
    offset: int
    key: str
    stage: str
    reason: str


def read_dead_letter(record: Record) -> DeadLetter | None:
    """Read the headers that name the refused message; None for a record that is no dead letter of ours."""
    if record.topic != DEAD_LETTER.name:
        return None
    said = {
        name.removeprefix(_PREFIX): value.decode(errors="replace")
        for name, value in record.headers
        if name.startswith(_PREFIX) and value is not None
    }
    try:
        return DeadLetter(
            topic=said["topic"],
            partition=int(said["partition"]),
            offset=int(said["offset"]),
            key=(record.key or b"").decode(errors="replace"),
            stage=said["stage"],
            reason=said["exception.message"],
        )
    except (KeyError, ValueError):
        return None
