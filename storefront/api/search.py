"""The route that searches by photo."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import UploadFile

from consumers.image_features.errors import ImageError, ImageTooLargeError, ImageUnreachableError
from schemas.events import MAX_ID_BYTES, ProductCreated
from storefront.api import models
from storefront.api.bodies import reference
from storefront.api.problems import ProblemError, answers, unavailable
from storefront.api.rendering import json_response
from storefront.api.state import Edge, edge_of
from storefront.shelves import MAX_ITEMS, Filters

router = APIRouter(tags=["search"])

_ENOUGH = 4
"""Times as many products as wanted are looked up at first, for the filters to choose from."""
_MAX_LOOKED_UP = 2_000
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_BODY = {
    "required": True,
    "content": {
        "image/jpeg": _BINARY,
        "image/png": _BINARY,
        "image/webp": _BINARY,
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {"image": {"type": "string", "format": "binary"}},
                "required": ["image"],
            }
        },
        "application/json": {"schema": reference(models.ImageLink)},
    },
}


class SearchQuery(BaseModel):
    """What the products found have to be."""

    model_config = ConfigDict(extra="forbid")

    n: int = Field(default=12, ge=1, le=MAX_ITEMS)
    category: str | None = Field(default=None, max_length=MAX_ID_BYTES)
    price_min: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    price_max: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    in_stock: bool = True


@router.post(
    "/search/image",
    response_model=models.Matches,
    responses=answers(413, 415, 422, 429, 503),
    openapi_extra={"requestBody": _BODY},
)
async def search_image(request: Request, query: Annotated[SearchQuery, Query()]) -> Response:
    """Find products by a photo: its bytes, a form's file `image`, or `{"image_url": …}` of a public address."""
    edge = edge_of(request)
    if edge.image_search is None:
        raise unavailable("this server does not search by photo")
    if edge.photo_turns.locked():
        raise unavailable("other photos are being searched by just now")
    async with edge.photo_turns:
        try:
            image = await _image(request, edge)
            found = await find_by_photo(edge, image, query)
        except ImageTooLargeError as error:
            raise ProblemError(413, str(error)) from error
        except ImageError as error:
            raise ProblemError(422, str(error)) from error
    items = [
        {"rank": rank, "product_id": product.product_id, "score": score, **edge.renderer.product(product)}
        for rank, (product, score) in enumerate(found, start=1)
    ]
    return json_response({"items": items})


async def _image(request: Request, edge: Edge) -> bytes:
    """The photo's bytes; raises ``ImageError``, ``ProblemError``."""
    sort = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if sort.startswith("image/") or sort == "application/octet-stream":
        return await request.body()
    if sort == "multipart/form-data":
        return await _form_image(request)
    if sort == "application/json":
        try:
            link = models.ImageLink.model_validate_json(await request.body())
        except ValidationError:
            raise ProblemError(422, 'give {"image_url": "https://…"}') from None
        return await _fetched(edge, link.image_url)
    raise ProblemError(415, "send the photo's bytes as image/*, a form with the file `image`, or a JSON image_url")


async def _form_image(request: Request) -> bytes:
    async with request.form(max_files=1, max_fields=10) as form:
        image = form.get("image")
        if not isinstance(image, UploadFile):
            raise ProblemError(422, "the form has no file `image`")
        return await image.read()


async def _fetched(edge: Edge, url: str) -> bytes:
    """Fetch over http(s) from a public address alone, as the image stage does."""
    try:
        return await asyncio.to_thread(edge.fetch_image, url)
    except ImageUnreachableError as error:
        raise ProblemError(422, f"{error}; give another address, or the photo itself") from error


async def find_by_photo(edge: Edge, image: bytes, query: SearchQuery) -> list[tuple[ProductCreated, float]]:
    """The products that look most like a photo, with their likeness; raises an ``ImageError``.

    Looks up more than wanted, and more again where the filters leave too few.
    """
    assert edge.image_search is not None
    filters = Filters(query.category, query.price_min, query.price_max, query.in_stock)
    count = _ENOUGH * query.n
    while True:
        found = await asyncio.to_thread(edge.image_search.search, image, count, query.category)
        products = await edge.tables.products([product_id for product_id, _ in found])
        passing = _passing(found, products, filters)
        if len(passing) >= query.n or len(found) < count or count >= _MAX_LOOKED_UP:
            return passing[: query.n]
        count = _MAX_LOOKED_UP


def _passing(
    found: Sequence[tuple[str, float]], products: Mapping[str, ProductCreated], filters: Filters
) -> list[tuple[ProductCreated, float]]:
    known = ((products.get(product_id), score) for product_id, score in found)
    return [(product, score) for product, score in known if product is not None and filters.allow(product)]
