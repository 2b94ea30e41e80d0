"""What shoppers do: put into the cart, buy, switch. Plain forms that scripts may send as well."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from starlette.datastructures import UploadFile
from starlette.responses import JSONResponse, RedirectResponse

from schemas.errors import RecsysError
from schemas.events import MAX_ID_BYTES, CartAdd, Kind, Purchase, SessionJoined
from storefront.shelves import Filters, ShelfRequest
from storefront.shop.guard import comes_from_here
from storefront.shop.rendering import Shop, ShopEvent, shop_of
from storefront.shop.shoppers import Shopper, new_guest, remember
from storefront.shop.visits import MAX_QUANTITY

router = APIRouter(include_in_schema=False)

Id = Annotated[str, Form(min_length=1, max_length=MAX_ID_BYTES)]
MaybeId = Annotated[str, Form(max_length=MAX_ID_BYTES)]
Amount = Annotated[int, Form(ge=0, le=MAX_QUANTITY)]
Quantity = Annotated[int, Form(ge=1, le=MAX_QUANTITY)]
Token = Annotated[str, Form(pattern="^[0-9a-f]{16,64}$")]
"""Made with each form, and its events' id: a form that is sent twice counts once."""

_SEE_OTHER = 303


@router.get("/cart")
async def cart(request: Request) -> Response:
    """What is in the cart, and what goes with it."""
    return await _cart_page(request)


@router.post("/cart")
async def add(
    request: Request, product_id: Id, token: Token, quantity: Quantity = 1, back: Annotated[str, Form()] = ""
) -> Response:
    """Put a product into the cart."""
    shop = shop_of(request)
    if not comes_from_here(request):
        return await _refused(request)
    shopper = shop.shopper(request)
    product = await shop.product(product_id)
    if product is None or not product.in_stock:
        return await _answer(request, 409, "This product cannot be bought at the moment.")
    visit = await shop.visits.get(shopper.subject)
    if not visit.is_repeated(token):
        if not visit.has_room(product_id):
            return await _answer(request, 409, "There is no more room in the cart.")
        event = CartAdd(token, _now_ms(), shopper.user_id, shopper.session_id, product_id, float(quantity))
        if not await _published(shop, [event]):
            return await _busy(request)
        await shop.visits.change(shopper.subject, lambda visit: visit.add(product_id, quantity, token))
    card = shop.window.card(product)
    return await _answer(request, _SEE_OTHER, f"{card.title} is in the cart.", back or "/cart", [token])


@router.post("/cart/change")
async def change(
    request: Request, product_id: Id, quantity: Annotated[int, Form(ge=0, le=MAX_QUANTITY)]
) -> Response:
    """Set how many pieces are wanted, 0 for none."""
    if not comes_from_here(request):
        return await _refused(request)
    shop = shop_of(request)
    subject = shop.shopper(request).subject
    await shop.visits.change(subject, lambda visit: visit.change(product_id, quantity))
    return RedirectResponse("/cart", _SEE_OTHER)


@router.post("/buy")
async def buy(
    request: Request, token: Token, product_id: Annotated[str, Form(max_length=MAX_ID_BYTES)] = ""
) -> Response:
    """Buy what is in the cart, or one piece of the product that is named."""
    if not comes_from_here(request):
        return await _refused(request)
    shop = shop_of(request)
    shopper = shop.shopper(request)
    visit = await shop.visits.get(shopper.subject)
    if visit.is_repeated(token):
        return RedirectResponse("/thanks", _SEE_OTHER)
    wanted = {product_id: 1} if product_id else dict(visit.cart)
    products = await shop.shelves.tables.products(list(wanted))
    lines = {i: n for i, n in wanted.items() if i in products and products[i].in_stock}
    if not lines:
        return await _answer(request, 409, "There is nothing in the cart that can be bought.")
    prices = {i: products[i].price for i in lines}
    if not await _published(shop, _purchases(shopper, token, lines, prices)):
        return await _busy(request)
    await shop.visits.change(shopper.subject, lambda visit: visit.order(lines, token))
    return RedirectResponse("/thanks", _SEE_OTHER)


@router.post("/search")
async def search(request: Request) -> Response:
    """Search by photo, for browsers without scripts; those with them ask the API."""
    if not comes_from_here(request):
        return await _refused(request)
    shop = shop_of(request)
    async with request.form(max_files=1, max_fields=4) as form:
        photo = form.get("image")
        data = await photo.read() if isinstance(photo, UploadFile) else b""
    status, found, problem = 200, [], ""
    try:
        found = [shop.window.card(product) for product in await shop.find(data)] if shop.find else []
    except RecsysError as error:
        status, problem = 422, f"This photo cannot be searched by: {error}"
    return await shop.page(request, "search.html", status, cards=found, problem=problem)


@router.get("/thanks")
async def thanks(request: Request) -> Response:
    """What was bought last."""
    shop = shop_of(request)
    shopper = shop.shopper(request)
    ordered = (await shop.visits.get(shopper.subject)).ordered
    lines = await _lines(shop, ordered)
    shelves = await shop.shelf_views(request, [ShelfRequest(Kind.FOR_YOU, shopper.subject)], "thanks")
    return await shop.page(request, "thanks.html", lines=lines, shelves=shelves)


@router.post("/shopper")
async def switch(request: Request, subject: Annotated[str, Form(max_length=64)] = "") -> Response:
    """Go on as one of the users of the demonstration, as this browser's guest, or as a new guest.

    A guest who goes on as a user has signed in: what they did is the user's.
    """
    if not comes_from_here(request):
        return await _refused(request)
    shop = shop_of(request)
    shopper = shop.shopper(request)
    guest = new_guest() if subject == "new-guest" else shopper.guest
    subject = subject if subject in shop.settings.shoppers else guest
    if (
        shopper.is_guest
        and subject != guest
        and not await _published(shop, [SessionJoined(guest, subject, _now_ms())])
    ):
        return await _busy(request)
    response = RedirectResponse("/", _SEE_OTHER)
    remember(response, request, Shopper(subject, guest))
    return response


def _purchases(
    shopper: Shopper, token: str, lines: dict[str, int], prices: dict[str, float | None]
) -> list[ShopEvent]:
    who = (_now_ms(), shopper.user_id, shopper.session_id)
    return [
        Purchase(f"{token}-{number}", *who, product_id, float(quantity), prices[product_id])
        for number, (product_id, quantity) in enumerate(lines.items())
    ]


async def _cart_page(request: Request, status: int = 200, message: str = "") -> Response:
    shop = shop_of(request)
    shopper = shop.shopper(request)
    visit = await shop.visits.get(shopper.subject)
    lines = await _lines(shop, visit.cart)
    requests = [ShelfRequest(Kind.FOR_YOU, shopper.subject)]
    if visit.cart:
        requests.insert(0, ShelfRequest(Kind.BOUGHT_TOGETHER, next(reversed(visit.cart))))
    shelves = await shop.shelf_views(request, requests, "cart", Filters(exclude=frozenset(visit.cart)))
    return await shop.page(request, "cart.html", status, lines=lines, shelves=shelves, message=message)


async def _lines(shop: Shop, wanted: dict[str, int]) -> dict[str, Any]:
    """Lines with their products as they are now, and the total of those that have a price."""
    known = await shop.shelves.tables.products(list(wanted))
    products = [(known[i], n) for i, n in wanted.items() if i in known]
    return {
        "rows": [
            (shop.window.card(product), n, shop.window.price(None if product.price is None else product.price * n))
            for product, n in products
        ],
        "total": shop.window.price(sum((product.price or 0) * n for product, n in products if product.in_stock)),
        "priced": any(product.price is not None for product, _ in products),
    }


async def _answer(
    request: Request, status: int, message: str, place: str = "", event_ids: list[str] | None = None
) -> Response:
    """As a script asked for it, or as a page: where to go on, or the cart with what is wrong."""
    shop = shop_of(request)
    if "application/json" in request.headers.get("accept", ""):
        shopper = shop.shopper(request)
        pieces = (await shop.visits.get(shopper.subject)).pieces
        body = {"message": message, "pieces": pieces, "event_ids": event_ids or []}
        response: Response = JSONResponse(body, 200 if status == _SEE_OTHER else status)
        remember(response, request, shopper)
        return response
    if status == _SEE_OTHER:
        response = RedirectResponse(place if _is_path(place) else "/cart", status)
        remember(response, request, shop.shopper(request))
        return response
    return await _cart_page(request, status, message)


async def _refused(request: Request) -> Response:
    return await _answer(request, 403, "That came from another site, so nothing was done.")


async def _busy(request: Request) -> Response:
    response = await _answer(request, 503, "The shop cannot take this just now. Please try again in a moment.")
    response.headers["Retry-After"] = "2"
    return response


async def _published(shop: Shop, events: list[ShopEvent]) -> bool:
    try:
        await shop.publish(events)
    except RecsysError:
        return False
    return True


def _is_path(place: str) -> bool:
    """True for a place of this shop: a path, and not the //host that browsers take for another site."""
    return place.startswith("/") and not place.startswith(("//", "/\\")) and place.isprintable()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
