"""Dead letters as Kafka Connect writes them, so that existing tools read them.

Source: KIP-298 "Error Handling in Connect", context headers.
"""

from __future__ import annotations

from consumers.runtime.records import OutRecord, Record
from schemas import topics

_PREFIX = "__connect.errors."

_MAX_MESSAGE_CHARACTERS = 1_000


def dead_letter(record: Record, error: Exception, stage_name: str) -> OutRecord:
    """The record as it came (key, value, headers, timestamp), and headers that say why and from where."""
    kind = type(error)
    context = {
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
        "stage": stage_name,
        "class.name": f"consumers.{stage_name.replace('-', '_')}",
        "exception.class.name": f"{kind.__module__}.{kind.__qualname__}",
        "exception.message": str(error)[:_MAX_MESSAGE_CHARACTERS],
    }
    headers = [
        *record.headers,
        *((_PREFIX + name, text.encode(errors="replace")) for name, text in context.items()),
    ]
    value = record.value if record.value is not None or record.key is not None else b""
    return OutRecord(topics.DEAD_LETTER.name, record.key, value, None, headers, record.timestamp_ms)
