"""From shelves to what a page shows of them: cards with a picture, a price and a reason in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import quote, urlencode

from schemas.events import Kind, ProductCreated, Reason
from storefront.api.rendering import recommendation_id
from storefront.shelf_items import ShelfItem
from storefront.shelves import Shelf
from storefront.wording import product_name, reason_text

_TITLES = {
    Kind.SIMILAR: "Looks like this",
    Kind.VIEWED_NEXT: "Viewed next",
    Kind.BOUGHT_TOGETHER: "Bought together",
    Kind.FOR_YOU: "For you",
    Kind.TRENDING: "Trending now",
    Kind.POPULAR: "Popular",
    Kind.COMPLETE_THE_LOOK: "Complete the look",
}
_TITLES_OF_CATEGORIES = {Kind.TRENDING: "Trending in {}", Kind.POPULAR: "Popular in {}"}
_SAID_BY_THE_TITLE = {
    Kind.SIMILAR: Reason.LOOKS_LIKE,
    Kind.VIEWED_NEXT: Reason.VIEWED_NEXT,
    Kind.BOUGHT_TOGETHER: Reason.BOUGHT_TOGETHER,
    Kind.TRENDING: Reason.TRENDING,
    Kind.POPULAR: Reason.POPULAR,
    Kind.COMPLETE_THE_LOOK: Reason.COMPLETES_THE_LOOK,
}


class Card(NamedTuple):
    """One product as shelves and grids show it."""

    product_id: str
    title: str
    category: str
    href: str
    picture: str
    """Address of the picture; empty where there is none."""
    price: str
    reason: str
    """In words; empty where it goes without saying."""
    why: str
    """The same for machines; empty for a card that stands in no list."""
    in_stock: bool


class ShelfView(NamedTuple):
    """One list on a page."""

    kind: str
    subject: str
    title: str
    revision: int
    recommendation_id: str
    """What impressions and clicks name it by."""
    placement: str
    variant: str
    """Of an experiment; kind and subject stay what was asked for, by which the shelf is asked for again."""
    cards: Sequence[Card]


class Window:
    """Turns products and shelves into what templates show; ``currency`` goes before prices."""

    def __init__(self, currency: str) -> None:
        self._currency = currency

    def card(self, product: ProductCreated, reason: str = "", why: str = "") -> Card:
        """A product as a card; why it is shown, in words and as a ``Reason``."""
        return Card(
            product_id=product.product_id,
            title=capitalised(product_name(product.product_id, product)),
            category=category_name(product.category),
            href=product_href(product.product_id),
            picture=picture_href(product.image_url),
            price=self.price(product.price),
            reason=reason,
            why=why,
            in_stock=product.in_stock,
        )

    def shelf(self, shelf: Shelf, products: Mapping[str, ProductCreated], placement: str) -> ShelfView:
        """A shelf as cards; a reason that the shelf's title gives already is left out."""
        request, listed = shelf.request, shelf.listed
        said = _SAID_BY_THE_TITLE.get(request.kind)

        def name(product_id: str) -> str:
            return capitalised(product_name(product_id, products.get(product_id)))

        def reason(item: ShelfItem) -> str:
            return "" if item.listed.reason == said else capitalised(reason_text(item.listed, name, item.about))

        revision = 0 if listed is None else listed.recommendation.revision
        return ShelfView(
            kind=shelf.asked.kind,
            subject=shelf.asked.subject,
            title=shelf_title(request.kind, request.subject),
            revision=revision,
            recommendation_id=recommendation_id(request.kind, request.subject, revision),
            placement=placement,
            variant=shelf.variant,
            cards=[self.card(item.product, reason(item), item.listed.reason) for item in shelf.items],
        )

    def price(self, price: float | None) -> str:
        """A price as people read it; empty where there is none."""
        return "" if price is None else f"{self._currency}{price:,.2f}"


def shelf_title(kind: str, subject: str) -> str:
    """What stands above a list."""
    if subject and kind in _TITLES_OF_CATEGORIES:
        return _TITLES_OF_CATEGORIES[kind].format(category_name(subject))
    return _TITLES.get(kind, capitalised(kind.replace("-", " ")))


def category_name(category: str) -> str:
    """How a category is called; of a path its last part."""
    last = category.rstrip("/").rpartition("/")[2].replace("_", " ")
    return capitalised(last) or "Everything else"


def category_href(category: str, page: int = 1) -> str:
    """Address of a category's page."""
    return "/category?" + urlencode({"name": category} | ({"page": page} if page > 1 else {}))


def product_href(product_id: str) -> str:
    """Address of a product's page; the id is the shop's own text, so it is no part of the path."""
    return "/product?" + urlencode({"id": product_id})


def picture_href(image_url: str | None) -> str:
    """Address of a picture: as published, or below /images/ where a path was published."""
    if not image_url:
        return ""
    if image_url.lower().startswith(("https://", "http://")):
        return image_url
    return "/images/" + quote(image_url)


def capitalised(text: str) -> str:
    """The text with a large first letter, the rest as it is."""
    return text[:1].upper() + text[1:]
