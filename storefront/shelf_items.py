"""One product of a shelf."""

from __future__ import annotations

from typing import NamedTuple

from schemas.events import ListedProduct, ProductCreated


class ShelfItem(NamedTuple):
    """One product of a shelf, and why it stands there."""

    product: ProductCreated
    listed: ListedProduct
    about: str
    """Product or category that the list it comes from is about; empty for a shopper's or the whole shop's."""
    rules: tuple[str, ...] = ()
    """What the shop's rules did with it: ``action: name`` of each."""
