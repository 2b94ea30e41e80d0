"""The pages to read; every one works without scripts."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from schemas.events import MAX_ID_BYTES, Kind
from storefront.shelves import Filters, ShelfRequest
from storefront.shop import forms
from storefront.shop.rendering import Shop, shop_of
from storefront.shop.window import Card, picture_href
from storefront.wording import PAGE_KINDS

router = APIRouter(include_in_schema=False)
router.include_router(forms.router)

_FOREVER = "public, max-age=31536000, immutable"
_PICTURES_SECONDS = 3_600
_MAX_CARDS = 50
_MAX_PAGE = 10_000
_NEW_ON_HOME = 12
_MAX_PICTURES = 8

Id = Annotated[str, Query(min_length=1, max_length=MAX_ID_BYTES)]
Name = Annotated[str, Query(max_length=MAX_ID_BYTES)]
Page = Annotated[int, Query(ge=1, le=_MAX_PAGE)]


@router.get("/")
async def home(request: Request) -> Response:
    """What the shopper may like, what others like, what is new, and where to go."""
    shop = shop_of(request)
    shopper = shop.shopper(request)
    shelves = await shop.shelf_views(
        request, [ShelfRequest(Kind.FOR_YOU, shopper.subject), ShelfRequest(Kind.TRENDING)], "home"
    )
    newest = await shop.shelves.tables.newest(None, _NEW_ON_HOME)
    return await shop.page(
        request,
        "home.html",
        shelves=shelves,
        new=await shop.cards(newest),
        viewed=await shop.cards((await shop.visits.get(shopper.subject)).viewed),
        doors=await _doors(shop),
    )


@router.get("/category")
async def category(request: Request, name: Name = "", page: Page = 1) -> Response:
    """What is popular in a category, and all of it, newest first."""
    shop = shop_of(request)
    length = shop.settings.page_length
    found = await shop.shelves.tables.newest(name, page * length + 1)
    cards = await shop.cards(found[(page - 1) * length : page * length])
    if not cards:
        return await _not_found(request, "There is nothing in this category at the moment.")
    shelves = await shop.shelf_views(request, [ShelfRequest(Kind.TRENDING, name, name)], "category")
    return await shop.page(
        request,
        "category.html",
        name=name,
        page=page,
        has_more=len(found) > page * length,
        cards=cards,
        shelves=shelves if page == 1 else [],
    )


@router.get("/product")
async def product(request: Request, id: Id) -> Response:  # noqa: A002 - the name in the address
    """One product, what looks like it, is viewed next and bought together, and what the shopper may like."""
    shop = shop_of(request)
    shopper = shop.shopper(request)
    found = await shop.product(id)
    if found is None:
        return await _not_found(request, "This product is no longer sold here.")
    requests = [ShelfRequest(kind, id) for kind in PAGE_KINDS]
    requests.append(ShelfRequest(Kind.FOR_YOU, shopper.subject))
    shelves = await shop.shelf_views(request, requests, "product")
    before = [known for known in (await shop.visits.get(shopper.subject)).viewed if known != id]
    await shop.visits.change(shopper.subject, lambda visit: visit.view(id))
    return await shop.page(
        request,
        "product.html",
        product=found,
        card=shop.window.card(found),
        more_pictures=[picture_href(url) for url in found.other_image_urls[:_MAX_PICTURES]],
        attributes=sorted(found.attributes.items()),
        shelves=shelves,
        viewed=await shop.cards(before),
    )


@router.get("/search")
async def search(request: Request) -> Response:
    """Where to search by photo."""
    return await shop_of(request).page(request, "search.html", cards=None, problem="")


@router.get("/shelf")
async def shelf(request: Request, kind: Name, subject: Name = "", placement: Name = "") -> Response:
    """One shelf as it is now, to be put into a page that shows an older one."""
    shop = shop_of(request)
    if kind not in Kind.ALL or (kind == Kind.FOR_YOU and subject != shop.shopper(request).subject):
        return Response(status_code=404)
    asked = ShelfRequest(kind, subject, subject if kind in (Kind.TRENDING, Kind.POPULAR) and subject else None)
    visit = await shop.visits.get(shop.shopper(request).subject)
    filters = Filters(exclude=frozenset(visit.cart)) if placement == "cart" else Filters()
    (found,) = await shop.shelf_views(request, [asked], placement, filters)
    return shop.fragment("fragments/shelf.html", shelf=found)


@router.get("/cards")
async def cards(request: Request, id: Annotated[list[str], Query(max_length=_MAX_CARDS)]) -> Response:  # noqa: A002
    """Cards of products that a script knows the ids of; those that are gone are left out."""
    shop = shop_of(request)
    return shop.fragment("fragments/cards.html", cards=await shop.cards(id))


@router.get("/images/{path:path}")
async def picture(request: Request, path: str) -> Response:
    """A picture of the catalogue."""
    pictures = shop_of(request).pictures
    found = await run_in_threadpool(pictures.read, path) if pictures is not None else None
    if found is None:
        return Response(status_code=404)
    headers = {
        "ETag": found.etag,
        "Cache-Control": f"public, max-age={_PICTURES_SECONDS}",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cross-Origin-Resource-Policy": "same-site",
    }
    if request.headers.get("if-none-match") == found.etag:
        return Response(status_code=304, headers=headers)
    return Response(found.data, media_type=found.media_type, headers=headers)


@router.get("/assets/{name}")
async def asset(request: Request, name: str, v: str = "") -> Response:
    """A style sheet or a script."""
    found = shop_of(request).assets.get(name)
    if found is None:
        return Response(status_code=404)
    headers = {
        "ETag": f'"{found.digest}"',
        "Cache-Control": _FOREVER if v == found.digest else "no-cache",
    }
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(found.data, media_type=found.media_type, headers=headers)


async def no_such_page(request: Request) -> Response:
    """For an address that nothing stands at."""
    return await _not_found(request, "There is no page at this address.")


async def _doors(shop: Shop) -> list[tuple[str, Card | None]]:
    """Each category with the product that stands for it."""
    doors: list[tuple[str, Card | None]] = []
    for name in await shop.categories():
        found = await shop.cards(list(await shop.shelves.tables.newest(name, 1)))
        doors.append((name, found[0] if found else None))
    return doors


async def _not_found(request: Request, message: str) -> Response:
    shop = shop_of(request)
    shelves = await shop.shelf_views(request, [ShelfRequest(Kind.TRENDING)], "not-found")
    return await shop.page(request, "message.html", 404, heading="Not here", message=message, shelves=shelves)
