"""What the fields of every event type are held to; each raises ``InvalidEventError``."""

from __future__ import annotations

import math
from operator import index

from schemas.errors import InvalidEventError

MAX_ID_BYTES = 256
"""Longest id of a product, user, session or event, UTF-8 bytes."""
_SHORT_ID_CHARACTERS = MAX_ID_BYTES // 4
"""What fits however it is encoded."""
_MAX_LONG = 2**63 - 1


def check_id(name: str, value: object) -> None:
    """An id is a text of 1 to ``MAX_ID_BYTES`` bytes."""
    if type(value) is str and 0 < len(value) <= _SHORT_ID_CHARACTERS:
        return
    if not isinstance(value, str):
        raise InvalidEventError(f"{name} is {value!r}; give the shop's own id as text")
    if not value:
        raise InvalidEventError(f"{name} is empty; give the shop's own id")
    if len(value) > MAX_ID_BYTES or len(value.encode(errors="surrogatepass")) > MAX_ID_BYTES:
        raise InvalidEventError(f"{name} is longer than {MAX_ID_BYTES} bytes: {value[:40]!r}…")


def check_time(event_time_ms: int) -> None:
    """A time is a whole number of milliseconds since the Unix epoch."""
    try:
        possible = 0 <= index(event_time_ms) <= _MAX_LONG
    except TypeError:
        possible = False
    if not possible:
        raise InvalidEventError(
            f"event_time_ms is {event_time_ms!r}; give whole milliseconds since 1970, not seconds or a fraction"
        )


def check_quantity(event_id: str, quantity: float, *, returns: bool) -> None:
    """A quantity is a finite number above 0, or below where it may be a return."""
    if not math.isfinite(quantity) or quantity == 0 or (quantity < 0 and not returns):
        allowed = "a number other than 0" if returns else "a number above 0"
        raise InvalidEventError(f"quantity of event {event_id} is {quantity}; give {allowed}")
