"""How lists, products and reasons read, for people."""

from __future__ import annotations

from collections.abc import Callable

from schemas.events import Kind, ListedProduct, ProductCreated, Reason

_SHORT_ID = 12

_REASONS = {
    Reason.LOOKS_LIKE: ("looks like {}", "looks alike"),
    Reason.VIEWED_NEXT: ("viewed after {}", "viewed next"),
    Reason.BOUGHT_TOGETHER: ("bought together with {}", "bought together"),
    Reason.BECAUSE_VIEWED: ("because you viewed {}", "because of what you viewed"),
    Reason.BECAUSE_BOUGHT: ("because you bought {}", "because of what you bought"),
    Reason.TRENDING: ("trending in {}", "trending now"),
    Reason.POPULAR: ("popular in {}", "popular"),
    Reason.POPULAR_IN_SEGMENT: ("popular with your group, after {}", "popular with your group"),
    Reason.NEW: ("new in {}", "new in the shop"),
    Reason.SHOPPERS_LIKE_YOU: ("shoppers like you, after {}", "shoppers like you viewed it"),
    Reason.YOUR_TASTE: ("like {}, to your taste", "to your taste"),
    Reason.COMPLETES_THE_LOOK: ("goes with {}", "goes with it"),
    Reason.PINNED: ("picked by the shop", "picked by the shop"),
}
_ABOUT_CATEGORIES = frozenset({Reason.TRENDING, Reason.POPULAR, Reason.NEW})
_ABOUT_PRODUCTS = {
    Kind.SIMILAR: "looks like",
    Kind.VIEWED_NEXT: "viewed after",
    Kind.BOUGHT_TOGETHER: "bought with",
    Kind.COMPLETE_THE_LOOK: "completes the look of",
}
PRODUCT_KINDS = Kind.OF_PRODUCTS
"""The kinds of list whose subject is a product."""
PAGE_KINDS = (Kind.SIMILAR, Kind.VIEWED_NEXT, Kind.BOUGHT_TOGETHER)
"""Those of them that every shop has, so that a product's page shows them unless it is told which."""
SHOP_KINDS = (Kind.TRENDING, Kind.POPULAR)
"""The kinds of list whose subject is a category, or nothing for the whole shop."""

Name = Callable[[str], str]
"""From a product_id to how the product is called."""


def printable(text: str) -> str:
    """The text with what a terminal would obey, such as escape sequences, replaced."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "·" for c in text)


def product_name(product_id: str, product: ProductCreated | None) -> str:
    """The product's title; for one without, its category and the beginning of its id."""
    if product is not None and product.title:
        return printable(product.title)
    product_id = printable(product_id)
    short = product_id if len(product_id) <= _SHORT_ID else product_id[: _SHORT_ID - 1] + "…"
    return f"{printable(product.category)} {short}" if product is not None and product.category else short


def reason_text(item: ListedProduct, name: Name, subject: str = "") -> str:
    """Why a product is listed, as a shopper would read it; ``subject`` is the product that the list belongs to."""
    forms = _REASONS.get(item.reason)
    if forms is None:
        return printable(f"{item.reason} {item.because}".strip())
    about, alone = forms
    because = item.because or subject
    if not because:
        return alone
    return about.format(printable(because) if item.reason in _ABOUT_CATEGORIES else name(because))


def list_name(kind: str, subject: str, name: Name) -> str:
    """What a list is, such as ``looks like Red mug`` or ``trending in mugs``."""
    if kind in _ABOUT_PRODUCTS:
        return f"{_ABOUT_PRODUCTS[kind]} {name(subject)}"
    if kind in SHOP_KINDS:
        return f"{kind} in {printable(subject) or 'the shop'}"
    if kind == Kind.FOR_YOU:
        return f"for {printable(subject)}"
    return printable(f"{kind} {subject}".strip())


def duration_text(duration_ms: float) -> str:
    """A duration in three significant places at most: ``31 ms``, ``1.2 s``, ``4 min``, ``3 h``."""
    if duration_ms < 1_000:
        return f"{duration_ms:.0f} ms"
    seconds = duration_ms / 1_000
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7_200 else f"{seconds / 3_600:.0f} h"
