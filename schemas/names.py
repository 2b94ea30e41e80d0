"""Names and numbers as they stand on the wire: what shoppers do, kinds of list, reasons, outcomes."""

from __future__ import annotations

from enum import IntEnum


class Action(IntEnum):
    """What a shopper did; the numbers are those on the wire."""

    VIEW = 0
    CART_ADD = 1
    PURCHASE = 2


class Relation(IntEnum):
    """How a companion stands to a product; the numbers are those on the wire."""

    AFTER = 0
    BEFORE = 1
    BOUGHT_TOGETHER = 2


class Kind:
    """The kinds of list, as they stand in keys, metrics and on the command line."""

    SIMILAR = "similar"
    VIEWED_NEXT = "viewed-next"
    BOUGHT_TOGETHER = "bought-together"
    FOR_YOU = "for-you"
    TRENDING = "trending"
    POPULAR = "popular"
    COMPLETE_THE_LOOK = "complete-the-look"
    OF_PRODUCTS = (SIMILAR, VIEWED_NEXT, BOUGHT_TOGETHER, COMPLETE_THE_LOOK)
    """Those whose subject is a product."""
    ALL = (*OF_PRODUCTS, FOR_YOU, TRENDING, POPULAR)


class Reason:
    """Why a product is listed, machine-readable."""

    LOOKS_LIKE = "looks-like"
    VIEWED_NEXT = "viewed-next"
    BOUGHT_TOGETHER = "bought-together"
    BECAUSE_VIEWED = "because-viewed"
    BECAUSE_BOUGHT = "because-bought"
    TRENDING = "trending"
    POPULAR = "popular"
    POPULAR_IN_SEGMENT = "popular-in-segment"
    NEW = "new"
    SHOPPERS_LIKE_YOU = "shoppers-like-you"
    YOUR_TASTE = "your-taste"
    PINNED = "pinned"
    COMPLETES_THE_LOOK = "completes-the-look"

    ALL = (
        LOOKS_LIKE,
        VIEWED_NEXT,
        BOUGHT_TOGETHER,
        BECAUSE_VIEWED,
        BECAUSE_BOUGHT,
        TRENDING,
        POPULAR,
        POPULAR_IN_SEGMENT,
        NEW,
        SHOPPERS_LIKE_YOU,
        YOUR_TASTE,
        PINNED,
        COMPLETES_THE_LOOK,
    )


class OutcomeName:
    """What a recommendation led to, as it stands in events and metrics."""

    CLICK = "click"
    CART_ADD = "cart-add"
    PURCHASE = "purchase"
    ALL = (CLICK, CART_ADD, PURCHASE)
