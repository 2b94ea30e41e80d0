"""Segments of users: those whose profiles have the same value of one attribute."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from recsys.co_visits import ActionWeights, Cause
from recsys.histories import HistoryEvent
from schemas.events import MAX_ID_BYTES, SegmentVisits

_Visit = tuple[str, int, float]

MAX_VISITS = 5_000
"""Visits in one message at most, so that it stays within its limit."""
MAX_ATTRIBUTES = 50
"""Attributes of a profile that are kept, the first by name."""


def kept_attributes(attributes: Mapping[str, str]) -> dict[str, str]:
    """What is kept of a profile: attributes that say something, by name, none longer than an id may be."""
    said = ((name, value) for name, value in sorted(attributes.items()) if value and _fits(name) and _fits(value))
    return dict(list(said)[:MAX_ATTRIBUTES])


def segment_of(attributes: Mapping[str, str], attribute: str) -> str:
    """``attribute=value``; empty for a profile that does not say, or where there is no such attribute."""
    value = attributes.get(attribute)
    segment = f"{attribute}={value}" if value else ""
    return segment if _fits(segment) else ""


class SegmentVisitBatch:
    """Gathers the visits of segments' users; who is in no segment adds nothing."""

    def __init__(self, weights: ActionWeights) -> None:
        self._weights = weights
        self._visits: dict[str, list[_Visit]] = {}
        self._newest: dict[str, Cause] = {}

    def add(self, segment: str, events: Sequence[HistoryEvent], cause: Cause) -> None:
        """Take a user's events, and the newest cause of them."""
        self._gather(segment, events, cause, 1.0)

    def take_back(self, segment: str, events: Sequence[HistoryEvent], cause: Cause) -> None:
        """Take back the events of a user who is no more in the segment."""
        self._gather(segment, events, cause, -1.0)

    def messages(self) -> Iterator[SegmentVisits]:
        """What was gathered, one message a segment unless that would be too long."""
        for segment, visits in self._visits.items():
            cause = self._newest[segment]
            for start in range(0, len(visits), MAX_VISITS):
                product_ids, times, weights = zip(*visits[start : start + MAX_VISITS], strict=True)
                yield SegmentVisits(segment, product_ids, times, weights, cause.cause, cause.timestamp_ms)

    def _gather(self, segment: str, events: Sequence[HistoryEvent], cause: Cause, sign: float) -> None:
        if not segment or not events:
            return
        times, _, product_ids, actions, quantities = zip(*events, strict=True)
        weights = [sign * weight for weight in self._weights.each(actions, quantities)]
        self._visits.setdefault(segment, []).extend(zip(product_ids, times, weights, strict=True))
        newest = self._newest.get(segment)
        if newest is None or cause.timestamp_ms >= newest.timestamp_ms:
            self._newest[segment] = cause


def _fits(text: str) -> bool:
    return len(text.encode(errors="surrogatepass")) <= MAX_ID_BYTES
