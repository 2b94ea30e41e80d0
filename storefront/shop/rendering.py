"""What every page has: templates, styles and scripts, who is shopping, and the headers that it is served with."""

from __future__ import annotations

import functools
import hashlib
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, NamedTuple

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from schemas.events import CartAdd, PdpView, ProductCreated, Purchase, SessionJoined
from storefront.shelves import Filters, ShelfRequest, Shelves
from storefront.shop.guard import security_headers
from storefront.shop.pictures import Pictures
from storefront.shop.settings import ShopSettings
from storefront.shop.shoppers import Shopper, remember, shopper_of
from storefront.shop.visits import MemoryVisits, Visits
from storefront.shop.window import Card, ShelfView, Window, category_href, category_name, product_href

ShopEvent = PdpView | CartAdd | Purchase | SessionJoined
Publish = Callable[[Sequence[ShopEvent]], Awaitable[None]]
"""Returns once Kafka has the events; raises a ``RecsysError`` where it may not."""

FindByPhoto = Callable[[bytes], Awaitable[Sequence[ProductCreated]]]
"""Products that look like a photo, best first; raises a ``RecsysError`` that says what is wrong with it."""

_MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_MAX_CATEGORIES = 100
_CATEGORIES_SECONDS = 2.0
_ALL = Filters()


class Asset(NamedTuple):
    """A file that pages are made of."""

    data: bytes
    media_type: str
    digest: str


@functools.cache
def assets() -> Mapping[str, Asset]:
    """The files that pages are made of, by name."""
    found = {}
    for file in files("storefront.shop").joinpath("assets").iterdir():
        media_type = _MEDIA_TYPES.get(file.name[file.name.rfind(".") :])
        if media_type is not None:
            data = file.read_bytes()
            found[file.name] = Asset(data, media_type, hashlib.sha256(data).hexdigest()[:16])
    return found


def _asset_href(name: str) -> str:
    return f"/assets/{name}?v={assets()[name].digest}"


@functools.cache
def _templates() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("storefront.shop"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals.update(
        asset=_asset_href,
        token=lambda: secrets.token_hex(16),
        category_href=category_href,
        category_name=category_name,
        product_href=product_href,
    )
    return made


@dataclass(slots=True)
class _Categories:
    """The categories that have products, looked up anew every now and then."""

    names: list[str] = field(default_factory=list)
    good_until: float = 0.0


class Shop:
    """What the pages are made from; ``request.app.state.shop``."""

    def __init__(
        self,
        settings: ShopSettings,
        shelves: Shelves,
        publish: Publish,
        pictures: Pictures | None = None,
        find: FindByPhoto | None = None,
        visits: Visits | None = None,
    ) -> None:
        self.settings = settings
        self.shelves = shelves
        self.publish = publish
        self.pictures = pictures
        self.find = find
        self.visits = visits or MemoryVisits(settings.max_remembered_shoppers)
        self.window = Window(settings.currency)
        self.assets = assets()
        self._categories = _Categories()
        self._headers = security_headers(settings.picture_sources)

    async def categories(self) -> list[str]:
        """Categories that have a product in stock, by name, as many as a page can show."""
        known = self._categories
        if time.monotonic() >= known.good_until:
            known.names = sorted(await self.shelves.tables.categories(), key=category_name)[:_MAX_CATEGORIES]
            known.good_until = time.monotonic() + _CATEGORIES_SECONDS
        return known.names

    async def product(self, product_id: str) -> ProductCreated | None:
        """A product as it is now; None for one that is unknown or retired."""
        return (await self.shelves.tables.products([product_id])).get(product_id)

    async def shelf_views(
        self, request: Request, wanted: Sequence[ShelfRequest], placement: str, filters: Filters = _ALL
    ) -> list[ShelfView]:
        """Lists as a page shows them, all read at once; ``placement`` is the page, as the shop's rules call it."""
        shopper = self.shopper(request).subject
        page = await self.shelves.read(wanted, self.settings.shelf_length, filters, placement, shopper)
        return [self.window.shelf(shelf, page.products, placement) for shelf in page.shelves]

    async def cards(self, product_ids: Sequence[str]) -> list[Card]:
        """Cards in the order of the ids, of products that are still sold."""
        known = await self.shelves.tables.products(product_ids)
        return [self.window.card(known[product_id]) for product_id in product_ids if product_id in known]

    def shopper(self, request: Request) -> Shopper:
        """Who the browser says is shopping."""
        known: Shopper | None = getattr(request.state, "shopper", None)
        if known is None:
            known = request.state.shopper = shopper_of(request, self.settings.shoppers)
        return known

    async def page(self, request: Request, template: str, status: int = 200, **content: Any) -> Response:
        """A whole page."""
        shopper = self.shopper(request)
        freshness = await self.shelves.tables.freshness()
        html = (
            _templates()
            .get_template(template)
            .render(
                shop_name=self.settings.name,
                path=request.url.path,
                now_ms=time.time_ns() // 1_000_000,
                shopper=shopper,
                shoppers=self.settings.shoppers,
                categories=await self.categories(),
                stale=freshness.ready and freshness.stale,
                pieces=(await self.visits.get(shopper.subject)).pieces,
                **content,
            )
        )
        response = HTMLResponse(html, status, self._headers)
        remember(response, request, shopper)
        return response

    def fragment(self, template: str, **content: Any) -> Response:
        """A part of a page that a script puts into it."""
        return HTMLResponse(_templates().get_template(template).render(**content), headers=self._headers)


def shop_of(request: Request) -> Shop:
    """The shop that the application serves."""
    shop: Shop = request.app.state.shop
    return shop
