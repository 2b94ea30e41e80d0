"""The routes that answer with lists."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from schemas.events import MAX_ID_BYTES, Kind
from storefront.api import models
from storefront.api.problems import ProblemError, answers
from storefront.api.queries import LeanRoute, parameters, query_of, subject_of
from storefront.api.rendering import json_response
from storefront.api.state import edge_of
from storefront.shelves import MAX_ITEMS, Filters, ShelfRequest
from storefront.wording import PAGE_KINDS, PRODUCT_KINDS

router = APIRouter(tags=["lists"])
lean_router = APIRouter(tags=["lists"], route_class=LeanRoute)

_KIND = "(" + "|".join(Kind.ALL) + ")"
_MAX_EXCLUDED = 200

Subject = Annotated[str, Path(min_length=1, max_length=MAX_ID_BYTES, description="the shop's own id")]
ProductKind = Annotated[str, Path(pattern=f"^({'|'.join(PRODUCT_KINDS)})$", examples=["similar"])]
ShopKind = Annotated[str, Path(pattern="^(trending|popular)$", examples=["trending"])]
Kinds = Annotated[
    str, Field(pattern=f"^{_KIND}(,{_KIND}){{0,9}}$", description="kinds of list, separated by commas")
]
_READS = answers(422, 429, 503)


class ListQuery(BaseModel):
    """What a product has to be to be shown."""

    model_config = ConfigDict(extra="forbid")

    n: int = Field(default=12, ge=1, le=MAX_ITEMS, description="products of each list")
    category: str | None = Field(default=None, max_length=MAX_ID_BYTES, description="this category alone")
    price_min: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    price_max: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    in_stock: bool = Field(default=True, description="false shows sold-out products too")
    exclude: list[Annotated[str, Field(max_length=MAX_ID_BYTES)]] = Field(
        default_factory=list, max_length=_MAX_EXCLUDED, description="products not to be shown; may be repeated"
    )
    diversity: float = Field(
        default=0.0, ge=0, le=1, allow_inf_nan=False, description="0: by rank alone; 1: categories take turns"
    )
    fill: bool = Field(
        default=True, description="fill up a short list with what is popular, then with what is new"
    )

    placement: str = Field(
        default="",
        max_length=MAX_ID_BYTES,
        description="where the lists are shown, for the shop's rules and experiments",
    )

    def filters(self) -> Filters:
        """As shelves take them."""
        return Filters(
            self.category,
            self.price_min,
            self.price_max,
            self.in_stock,
            frozenset(self.exclude),
            self.diversity,
            self.fill,
        )


class ShownQuery(ListQuery):
    """Who is shown the lists, where the path does not say."""

    user: str | None = Field(
        default=None, min_length=1, max_length=MAX_ID_BYTES, description="who is shown the lists, for experiments"
    )
    session: str | None = Field(
        default=None, min_length=1, max_length=MAX_ID_BYTES, description="the same for a guest"
    )

    @property
    def shopper(self) -> str:
        """Subject of the shopper; empty where nobody is named."""
        return self.user or self.session or ""


class ProductListsQuery(ShownQuery):
    """Which lists of a product."""

    kinds: Annotated[str, Field(pattern=f"^({'|'.join(PRODUCT_KINDS)})(,({'|'.join(PRODUCT_KINDS)})){{0,3}}$")] = (
        ",".join(PAGE_KINDS)
    )


class UserListsQuery(ListQuery):
    """Which lists for a shopper."""

    kinds: Annotated[str, Field(pattern="^(for-you|trending|popular)(,(for-you|trending|popular)){0,2}$")] = (
        "for-you,trending,popular"
    )


class PageQuery(ShownQuery):
    """Which lists, and what they are about."""

    kinds: Kinds
    product: str | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_ID_BYTES,
        description="of similar, viewed-next, bought-together, complete-the-look",
    )
    user: str | None = Field(
        default=None, min_length=1, max_length=MAX_ID_BYTES, description="of for-you, and of experiments"
    )
    session: str | None = Field(
        default=None, min_length=1, max_length=MAX_ID_BYTES, description="the same where there is no user"
    )
    about_category: str = Field(
        default="", max_length=MAX_ID_BYTES, description="of trending and popular; empty: the whole shop"
    )


class ShopListQuery(ShownQuery):
    """Trending or popular where."""

    about_category: str = Field(default="", max_length=MAX_ID_BYTES, description="empty: the whole shop")


@lean_router.get(
    "/lists",
    response_model=models.Answer,
    responses=_READS,
    openapi_extra=parameters(PageQuery),
    summary="Several kinds for one page in one call",
)
async def page_lists(request: Request) -> Response:
    """Lists of any kinds, in the order asked for: `kinds=similar,for-you&product=P123&user=u7`."""
    query = query_of(request, PageQuery)
    wanted = [_request(kind, query) for kind in dict.fromkeys(query.kinds.split(","))]
    return await _answer(request, wanted, query, query.shopper)


@lean_router.get(
    "/products/{product_id}/lists",
    response_model=models.Answer,
    responses=_READS,
    openapi_extra=parameters(ProductListsQuery, "product_id"),
)
async def product_lists(request: Request) -> Response:
    """What a product page shows: looks like this, viewed next, bought together."""
    query, product_id = query_of(request, ProductListsQuery), subject_of(request, "product_id")
    kinds = dict.fromkeys(query.kinds.split(","))
    return await _answer(request, [ShelfRequest(kind, product_id) for kind in kinds], query, query.shopper)


@router.get("/products/{product_id}/lists/{kind}", response_model=models.Answer, responses=_READS)
async def product_list(
    request: Request, product_id: Subject, kind: ProductKind, query: Annotated[ShownQuery, Query()]
) -> Response:
    """One list of a product."""
    return await _answer(request, [ShelfRequest(kind, product_id)], query, query.shopper)


@lean_router.get(
    "/users/{user_id}/lists",
    response_model=models.Answer,
    responses=_READS,
    openapi_extra=parameters(UserListsQuery, "user_id"),
)
async def user_lists(request: Request) -> Response:
    """What a home page shows to a user: for you, trending, popular."""
    query = query_of(request, UserListsQuery)
    subject = subject_of(request, "user_id")
    return await _answer(request, _for_shopper(subject, query), query, subject)


@lean_router.get(
    "/sessions/{session_id}/lists",
    response_model=models.Answer,
    responses=_READS,
    openapi_extra=parameters(UserListsQuery, "session_id"),
)
async def session_lists(request: Request) -> Response:
    """The same for a guest, known by the session alone."""
    query = query_of(request, UserListsQuery)
    subject = subject_of(request, "session_id")
    return await _answer(request, _for_shopper(subject, query), query, subject)


@router.get("/shop/lists/{kind}", response_model=models.Answer, responses=_READS)
async def shop_list(request: Request, kind: ShopKind, query: Annotated[ShopListQuery, Query()]) -> Response:
    """Trending or popular, in the whole shop or a category."""
    return await _answer(request, [ShelfRequest(kind, query.about_category)], query, query.shopper)


@router.get("/products/{product_id}", response_model=models.Product, responses={**answers(404), **_READS})
async def product(request: Request, product_id: Subject) -> Response:
    """A product as the shop last published it."""
    edge = edge_of(request)
    found = (await edge.tables.products([product_id])).get(product_id)
    if found is None:
        raise ProblemError(404, "there is no such product, or it was retired")
    described = edge.renderer.product(found)
    others = [edge.renderer.image(url) for url in found.other_image_urls]
    more = {"other_image_urls": others, "attributes": dict(found.attributes)}
    return json_response({"product_id": product_id, **described, **more})


def _for_shopper(subject: str, query: UserListsQuery) -> list[ShelfRequest]:
    kinds = dict.fromkeys(query.kinds.split(","))
    return [ShelfRequest(kind, subject if kind == Kind.FOR_YOU else "") for kind in kinds]


def _request(kind: str, query: PageQuery) -> ShelfRequest:
    if kind in PRODUCT_KINDS:
        if query.product is None:
            raise ProblemError(422, f"{kind} is a list of a product; give product=")
        return ShelfRequest(kind, query.product)
    if kind == Kind.FOR_YOU:
        subject = query.user or query.session
        if subject is None:
            raise ProblemError(422, "for-you is a list of a shopper; give user= or session=")
        return ShelfRequest(kind, subject, query.about_category or None)
    return ShelfRequest(kind, query.about_category)


async def _answer(request: Request, wanted: list[ShelfRequest], query: ListQuery, shopper: str) -> Response:
    edge = edge_of(request)
    page = await edge.shelves.read(wanted, query.n, query.filters(), query.placement, shopper)
    return json_response(edge.renderer.answer(page))
