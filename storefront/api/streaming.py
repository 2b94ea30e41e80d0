"""The route of server-sent events."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response

from schemas.events import MAX_ID_BYTES, Kind
from storefront.api.problems import ProblemError, answers, unavailable
from storefront.api.state import edge_of
from storefront.api.stream import EventStream, resume_from_ms
from storefront.tables import product_key
from storefront.wording import PRODUCT_KINDS, SHOP_KINDS

router = APIRouter(tags=["live"])

_MAX_QUERY = 20_000


@router.get(
    "/stream",
    response_class=Response,
    responses={
        200: {
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
            "description": "a stream of events",
        },
        **answers(422, 429, 503),
    },
)
async def stream(
    request: Request,
    subject: Annotated[
        str | None, Query(max_length=MAX_ID_BYTES, description="a user, or a guest's session")
    ] = None,
    products: Annotated[str, Query(max_length=_MAX_QUERY, description="on screen, separated by commas")] = "",
    shown: Annotated[
        str, Query(max_length=_MAX_QUERY, description="products of which to tell whether they can be bought still")
    ] = "",
    categories: Annotated[
        str | None, Query(max_length=_MAX_QUERY, description="whose trending and popular; empty: the whole shop's")
    ] = None,
    since_ms: Annotated[
        int | None, Query(ge=0, lt=2**53, description="begin with what was published since, as Last-Event-ID does")
    ] = None,
    last_event_id: Annotated[str | None, Header(max_length=100)] = None,
) -> Response:
    """Every change of the lists on a page, as `recommendation-updated` events whose data is the list as it is.

    Follows for-you of the subject; similar, complete-the-look, viewed-next and bought-together of the products;
    trending and popular of the categories. Products that are `shown` have `product-updated` events, which say
    whether they are `available`. A client that is too slow is dropped: it comes back with Last-Event-ID for what
    it missed.
    """
    edge = edge_of(request)
    limits = edge.settings.stream
    on_screen = [product for product in products.split(",") if product]
    about = categories.split(",") if categories is not None else []
    if len(on_screen) + len(about) > limits.max_products:
        raise ProblemError(422, f"a stream follows up to {limits.max_products} products and categories")
    watched = [product for product in shown.split(",") if product]
    if len(watched) > limits.max_shown:
        raise ProblemError(422, f"a stream tells of up to {limits.max_shown} products that are shown")
    if edge.hub.full:
        raise unavailable("there are as many streams as this server takes")
    keys = [f"{Kind.FOR_YOU}:{subject}"] if subject else []
    keys += [f"{kind}:{product}" for product in on_screen for kind in PRODUCT_KINDS]
    keys += [f"{kind}:{category}" for category in about for kind in SHOP_KINDS]
    keys += map(product_key, watched)
    resumed_ms = resume_from_ms(last_event_id)
    since = resumed_ms if resumed_ms is not None else since_ms
    return EventStream(edge.hub, edge.tables, limits, keys, since)
