"""One changed list as a line or as JSON, and one list as a table or as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from schemas.events import Kind, RecommendationUpdated
from storefront.lists import ListChange
from storefront.products import ProductTable
from storefront.wording import PRODUCT_KINDS, Name, duration_text, list_name, printable, product_name, reason_text

SHOWN_PRODUCTS = 4
"""How many products of a list stand in a line."""

KIND_STYLES = {
    Kind.SIMILAR: "cyan",
    Kind.VIEWED_NEXT: "blue",
    Kind.BOUGHT_TOGETHER: "magenta",
    Kind.FOR_YOU: "green",
    Kind.TRENDING: "yellow",
    Kind.POPULAR: "yellow",
    Kind.COMPLETE_THE_LOOK: "cyan",
}


def namer(products: ProductTable) -> Name:
    """How to call a product, from what is known of it."""
    return lambda product_id: product_name(product_id, products.get(product_id))


def clock_text(at_ms: int) -> str:
    """Local time of day, with milliseconds."""
    return datetime.fromtimestamp(at_ms / 1_000).astimezone().strftime("%H:%M:%S.%f")[:-3]


def freshness_ms(change: ListChange, seen_at_ms: int) -> int | None:
    """From the broker's timestamp of the cause until the list was seen; None for a list withdrawn."""
    return None if change.after is None else max(seen_at_ms - change.after.caused_at_ms, 0)


def change_text(change: ListChange) -> Text:
    """What happened to a list: withdrawn, or how many entered, left and moved."""
    if change.after is None:
        return Text.assemble(("withdrawn", "red"))
    if change.before is None:
        return Text.assemble(("new", "bold green"))
    parts = []
    if change.entered:
        parts.append(Text(f"+{len(change.entered)}", "green"))
    if change.left:
        parts.append(Text(f"−{len(change.left)}", "red"))
    if change.moved:
        parts.append(Text(f"↕{len(change.moved)}", "yellow"))
    return Text(" ").join(parts) if parts else Text.assemble(("=", "dim"))


def products_text(change: ListChange, name: Name, shown: int = SHOWN_PRODUCTS) -> Text:
    """The first products of a list, and the best of those that have just entered further down; these in bold."""
    if change.after is None:
        return Text("")
    entered = change.entered if change.before is not None else []
    items = [item.product_id for item in change.after.items]
    first, rest = items[:shown], items[shown:]
    names = [Text(name(product_id), "bold green" if product_id in entered else "") for product_id in first]
    text = Text.assemble((" · ", "dim")).join(names)
    newcomer = next((product_id for product_id in entered if product_id in rest), None)
    if newcomer is not None:
        text.append(" … ", "dim").append(name(newcomer), "bold green")
    left = len(rest) - (newcomer is not None)
    return text.append(f" +{left} more", "dim") if left > 0 else text


def change_line(change: ListChange, products: ProductTable, seen_at_ms: int) -> Text:
    """One line: time, list, what happened, freshness, first products, cause."""
    name = namer(products)
    fresh = freshness_ms(change, seen_at_ms)
    line = Text.assemble((clock_text(seen_at_ms), "dim"))
    line.append("  ").append(list_name(change.kind, change.subject, name), KIND_STYLES.get(change.kind, ""))
    line.append("  ").append_text(change_text(change))
    if change.after is not None and fresh is not None:
        line.append(f"  {duration_text(fresh)}", "bold")
        line.append("  ").append_text(products_text(change, name))
        line.append(f"  ← {printable(change.after.caused_by)}", "dim")
    return line


def change_json(change: ListChange, seen_at_ms: int) -> dict[str, Any]:
    """The same for programs; times in milliseconds since the Unix epoch."""
    after = change.after
    return {
        "seen_at_ms": seen_at_ms,
        "kind": change.kind,
        "subject": change.subject,
        "withdrawn": after is None,
        "revision": None if after is None else after.revision,
        "products": [] if after is None else [item.product_id for item in after.items],
        "entered": change.entered,
        "left": change.left,
        "moved": change.moved,
        "freshness_ms": freshness_ms(change, seen_at_ms),
        "caused_by": None if after is None else after.caused_by,
        "caused_at_ms": None if after is None else after.caused_at_ms,
    }


def list_table(found: RecommendationUpdated, products: ProductTable) -> RenderableType:
    """One list for people: rank, product, title where the shop gives any, score, reason."""
    name = namer(products)
    titled = any(products.title(item.product_id) for item in found.items)
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("", justify="right", style="dim")
    table.add_column("product", no_wrap=True)
    if titled:
        table.add_column("title")
    table.add_column("category", style="dim")
    table.add_column("score", justify="right")
    table.add_column("reason")
    for rank, item in enumerate(found.items, start=1):
        product = products.get(item.product_id)
        title, category = (product.title, product.category) if product is not None else ("", "")
        reason = reason_text(item, name, _subject_product(found))
        words = (item.product_id, *([title] if titled else []), category, f"{item.score:.4g}", reason)
        table.add_row(str(rank), *(Text(printable(word)) for word in words))
    heading = Text(list_name(found.kind, found.subject, name), f"bold {KIND_STYLES.get(found.kind, '')}")
    cause = f"{clock_text(found.caused_at_ms)} by {printable(found.caused_by)}"
    changed = f"revision {found.revision}, changed {cause}"
    return Group(heading, Text(changed, "dim"), table if found.items else Text("The list is empty.", "dim"))


def _subject_product(found: RecommendationUpdated) -> str:
    return found.subject if found.kind in PRODUCT_KINDS else ""


def list_json(found: RecommendationUpdated, products: ProductTable) -> dict[str, Any]:
    """One list for programs; ``title`` and ``category`` are null where the product is unknown."""

    def described(product_id: str) -> dict[str, Any]:
        product = products.get(product_id)
        return {
            "title": None if product is None else product.title,
            "category": None if product is None else product.category,
        }

    name = namer(products)
    return {
        "kind": found.kind,
        "subject": found.subject,
        "revision": found.revision,
        "event_time_ms": found.event_time_ms,
        "caused_by": found.caused_by,
        "caused_at_ms": found.caused_at_ms,
        "items": [
            {
                "rank": rank,
                "product_id": item.product_id,
                **described(item.product_id),
                "score": item.score,
                "reason": item.reason,
                "because": item.because,
                "text": reason_text(item, name, _subject_product(found)),
            }
            for rank, item in enumerate(found.items, start=1)
        ],
    }
