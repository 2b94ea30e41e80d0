"""The route that takes what shoppers do."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence

from fastapi import APIRouter, Request, Response

from producers.errors import BufferFullError
from producers.publications import Publication
from schemas.events import CartAdd, Click, Impression, PdpView, Purchase
from storefront.api import models
from storefront.api.bodies import OneOrMany
from storefront.api.problems import ProblemError, answers, unavailable
from storefront.api.publisher import EdgePublisher, NotAcknowledgedError
from storefront.api.rendering import json_response
from storefront.api.state import edge_of

router = APIRouter(tags=["events"])

EVENTS = OneOrMany(models.AnyEvent)
MAX_AHEAD_MS = 300_000
"""How far clocks may differ; the stages refuse an event that is dated further ahead."""

_EXAMPLE = {"type": "view", "user_id": "u7", "product_id": "P123", "event_id": "5f3a-1"}


@router.post(
    "/events",
    status_code=202,
    response_model=models.Accepted,
    responses=answers(413, 422, 429, 503),
    openapi_extra={"requestBody": EVENTS.openapi(_EXAMPLE)},
)
async def post_events(request: Request) -> Response:
    """Take one event, or up to 500; answered when Kafka has them all.

    503 says that Kafka has not acknowledged them (yet): send them again, with the same event_id, which the answer
    names, and each counts once. `text/plain` is read as JSON too, for `navigator.sendBeacon`.
    """
    now_ms = time.time_ns() // 1_000_000
    events = [_publication(event, now_ms) for event in await EVENTS.read(request)]
    event_ids = [event.event_id for event in events]
    try:
        await publish(edge_of(request).publisher, events)
    except ProblemError as error:
        error.extra["event_ids"] = event_ids
        raise
    return json_response({"accepted": len(events), "event_ids": event_ids}, 202)


async def publish(publisher: EdgePublisher, publications: Sequence[Publication]) -> None:
    """Publish; raises ``ProblemError`` 503 where Kafka has not acknowledged all of it."""
    try:
        await publisher.publish(publications)
    except (BufferFullError, NotAcknowledgedError) as error:
        raise unavailable(f"{error}; send it again in a moment, with the same event_id") from error


def checked_time_ms(event_time_ms: int | None, now_ms: int) -> int:
    """The time that is given, else now; raises ``ProblemError`` 422 for one that is to come."""
    if event_time_ms is None:
        return now_ms
    if event_time_ms > now_ms + MAX_AHEAD_MS:
        detail = f"event_time_ms {event_time_ms} is ahead of now; give milliseconds since 1970, or leave it out"
        raise ProblemError(422, detail)
    return event_time_ms


AnyShopperEvent = PdpView | CartAdd | Purchase | Impression | Click


def _publication(event: models.AnyEvent, now_ms: int) -> AnyShopperEvent:
    """The event as Kafka has it; raises ``ContractError`` where it cannot be, ``ProblemError`` for its time."""
    at_ms = checked_time_ms(event.event_time_ms, now_ms)
    who = (event.event_id or uuid.uuid4().hex, at_ms, event.user_id, event.session_id, event.product_id)
    if isinstance(event, models.CartAdd):
        return CartAdd(*who, event.quantity)
    if isinstance(event, models.Purchase):
        return Purchase(*who, event.quantity, event.unit_price)
    if isinstance(event, (models.Impression, models.Click)):
        shown = Impression if isinstance(event, models.Impression) else Click
        where = (event.recommendation_id, event.placement, event.kind, event.rank)
        return shown(*who, *where, event.variant, event.reason)
    return PdpView(*who)
