"""What rules make of one list: before, after, and because of which rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from schemas.events import ProductCreated
from storefront.rules.model import RuleSet
from storefront.rules.shelf_rules import ShelfRules
from storefront.shelf_items import ShelfItem
from storefront.shelves import Filters, Shelf, candidates_of, with_pins


class PreviewRow(NamedTuple):
    """One product of the list, or one that a rule brought in."""

    product_id: str
    before: int | None
    """Rank without the rules, from 1; None for a product that a rule brought in."""
    after: int | None
    """Rank with them; None for a product that a rule keeps off, or that is no longer among the first."""
    rules: Sequence[str]


def preview(
    shelf: Shelf,
    rules: RuleSet,
    products: Mapping[str, ProductCreated],
    placement: str,
    at_ms: int,
    n: int,
    variant: str = "",
) -> list[PreviewRow]:
    """The first ``n`` products of a list without and with the rules, those that are shown first."""
    filters = Filters()
    listed = list(candidates_of(shelf, products, filters))
    before = {item.product.product_id: rank for rank, item in enumerate(listed[:n], start=1)}
    shelf.rules = ShelfRules.of(rules, shelf.request.kind, placement, at_ms, variant)
    ordered = shelf.rules.ordered(candidates_of(shelf, products, filters))
    shown = with_pins(shelf, ordered[:n], products, n, filters)
    rows = [
        PreviewRow(item.product.product_id, before.get(item.product.product_id), rank, item.rules)
        for rank, item in enumerate(shown, start=1)
    ]
    left = before.keys() - {row.product_id for row in rows}
    effects = {item.product.product_id: item.rules for item in ordered}
    for product_id in sorted(left, key=before.__getitem__):
        because = effects.get(product_id) or _hidden_by(shelf, listed, products, product_id)
        rows.append(PreviewRow(product_id, before[product_id], None, because))
    return rows


def _hidden_by(
    shelf: Shelf, listed: Sequence[ShelfItem], products: Mapping[str, ProductCreated], product_id: str
) -> Sequence[str]:
    item = next(item for item in listed if item.product.product_id == product_id)
    about = products.get(item.listed.because or shelf.product_subject)
    name = shelf.rules.hides(item.product, about)
    return [f"hide: {name}"] if name is not None else []
