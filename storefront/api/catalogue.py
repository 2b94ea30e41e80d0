"""The routes that a shop's backend writes with: products, sign-ins, users to be forgotten; they need its token."""

from __future__ import annotations

import hmac
import time
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from producers.publications import ProductRetired, UserForgotten
from schemas.events import ProductCreated, SessionJoined
from storefront.api import models
from storefront.api.bodies import OneOrMany
from storefront.api.events import checked_time_ms, publish
from storefront.api.problems import ProblemError, answers
from storefront.api.reading import Subject
from storefront.api.rendering import json_response
from storefront.api.state import edge_of

PRODUCTS = OneOrMany(models.NewProduct)
_EXAMPLE = {"product_id": "P123", "title": "Mug, red", "category": "mugs", "price": 9.5}
_WRITES = answers(401, 403, 422, 429, 503)
_bearer = HTTPBearer(auto_error=False, description="the token that RECSYS_API__TOKEN holds")


async def _authorised(
    request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> None:
    """Raises ``ProblemError`` 403 where no token is configured, 401 where another or none is given."""
    token = edge_of(request).settings.token
    if token is None:
        raise ProblemError(
            403, "this server takes no products: set RECSYS_API__TOKEN to a secret, and send it as a bearer token"
        )
    offered = "" if given is None else given.credentials
    if not hmac.compare_digest(offered.encode(), token.get_secret_value().encode()):
        raise ProblemError(401, "send the token as `Authorization: Bearer …`", {"WWW-Authenticate": "Bearer"})


router = APIRouter(tags=["catalogue"], dependencies=[Depends(_authorised)])


@router.post(
    "/products",
    status_code=202,
    response_model=models.Written,
    responses={**answers(413), **_WRITES},
    openapi_extra={"requestBody": PRODUCTS.openapi(_EXAMPLE)},
)
async def post_products(request: Request) -> Response:
    """Publish one product as it is now, or up to 500; what is left out is empty from then on."""
    now_ms = time.time_ns() // 1_000_000
    products = [_product(product, now_ms) for product in await PRODUCTS.read(request)]
    await publish(edge_of(request).publisher, products)
    return json_response({"accepted": len(products)}, 202)


@router.delete("/products/{product_id}", status_code=202, response_model=models.Written, responses=_WRITES)
async def delete_product(request: Request, product_id: Subject) -> Response:
    """Retire a product for good: it leaves every answer."""
    await publish(edge_of(request).publisher, [ProductRetired(product_id)])
    return json_response({"accepted": 1}, 202)


@router.put(
    "/users/{user_id}/sessions/{session_id}", status_code=202, response_model=models.Written, responses=_WRITES
)
async def put_session(request: Request, user_id: Subject, session_id: Subject) -> Response:
    """Say that a guest signed in: what the session did becomes the user's."""
    joined = SessionJoined(session_id, user_id, time.time_ns() // 1_000_000)
    await publish(edge_of(request).publisher, [joined])
    return json_response({"accepted": 1}, 202)


@router.delete("/users/{user_id}", status_code=202, response_model=models.Written, responses=_WRITES)
async def delete_user(request: Request, user_id: Subject) -> Response:
    """Forget a user: history and lists."""
    await publish(edge_of(request).publisher, [UserForgotten(user_id)])
    return json_response({"accepted": 1}, 202)


def _product(product: models.NewProduct, now_ms: int) -> ProductCreated:
    at_ms = checked_time_ms(product.event_time_ms, now_ms)
    return ProductCreated(
        product.product_id,
        at_ms,
        product.title,
        product.category,
        product.image_url,
        product.price,
        product.in_stock,
        product.attributes,
        product.other_image_urls,
    )
