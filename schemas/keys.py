"""The message key that each event belongs under; equal keys share a partition."""

from __future__ import annotations

from schemas import events
from schemas.errors import InvalidEventError


def key_of(event: events.Event) -> str:
    """The key of an event's message: a product_id, a subject, or ``kind:subject``."""
    if isinstance(event, events.Interaction):
        return event.subject
    if isinstance(event, (events.RecommendationUpdated, events.BlendState, events.ProfileFactors)):
        return event.key
    if isinstance(event, (events.UserHistory, events.OutcomeState)):
        return event.subject
    if isinstance(event, events.RecommendationOutcome):
        return event.event_id
    if isinstance(event, (events.UserUpdated, events.SessionHistory)):
        return event.user_id
    if isinstance(event, events.SessionJoined):
        return event.session_id
    if isinstance(event, events.SegmentVisits):
        return event.segment
    if isinstance(event, events.SimilarState):
        return event.encoder_id
    if isinstance(event, events.RefitFactors):
        return str(event.part)
    return event.product_id


def check_key(event: events.Event, key: str) -> None:
    """Refuse an event under another key than its own: its partition's owner would not be its subject's."""
    if key_of(event) != key:
        raise InvalidEventError(f"the message key is {key!r}, but the event belongs under {key_of(event)!r}")
