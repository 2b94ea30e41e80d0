"""A recorded clickstream (CSV, TSV or Parquet) as events.

Columns: ``timestamp_ms``, ``user_id``, ``product_id``, ``event``, and optional ``session_id``, ``quantity``,
``unit_price``, ``event_id``. A guest's row has a session_id and no user_id. Where there is no event_id it is
made from the row and its line number, so that publishing the same file again changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Literal

from producers.cells import RowError, as_number, as_text, as_time_ms
from producers.errors import UnreadableSourceError
from producers.tables import AcceptedRow, RawRow, RejectedRow, Table, resolve_columns
from schemas.errors import ContractError
from schemas.events import Action, CartAdd, PdpView, Purchase

ShopperEvent = PdpView | CartAdd | Purchase
ClickstreamRow = AcceptedRow[ShopperEvent] | RejectedRow

FIELDS: dict[str, tuple[str, ...]] = {
    "timestamp_ms": ("timestamp_ms", "event_time_ms", "timestamp"),
    "user_id": ("user_id", "user", "visitor_id", "visitorid"),
    "product_id": ("product_id", "product", "item_id", "itemid", "sku"),
    "event": ("event", "event_type", "action"),
    "session_id": ("session_id", "session"),
    "quantity": ("quantity",),
    "unit_price": ("unit_price", "price"),
    "event_id": ("event_id",),
}
"""The fields of an event, and the column names that are taken for them without a mapping."""

ACTIONS: dict[str, Action] = {
    **dict.fromkeys(("view", "pdp-view", "page-view", "pageview", "product-view", "click", "viewed"), Action.VIEW),
    **dict.fromkeys(("cart-add", "add-to-cart", "addtocart", "cart", "basket", "added-to-cart"), Action.CART_ADD),
    **dict.fromkeys(("purchase", "buy", "order", "transaction", "purchased", "bought"), Action.PURCHASE),
}
"""What the event column may say; case, spaces and underscores do not matter."""

TimeUnit = Literal["ms", "s", "iso"]


@dataclass(frozen=True, slots=True)
class ClickstreamOptions:
    """How a clickstream is to be read. ``mapping`` is field → column.

    ``time_unit`` is what the timestamp column holds; timestamps of Parquet's own are read as they are.
    ``default_event`` stands in where there is no event column, for files that hold views alone.
    """

    mapping: Mapping[str, str] = field(default_factory=dict)
    time_unit: TimeUnit = "ms"
    default_event: str | None = None


class Clickstream:
    """A recorded clickstream on disk; raises ``UnreadableSourceError`` when ``path`` is none."""

    def __init__(self, path: Path, options: ClickstreamOptions | None = None) -> None:
        options = options or ClickstreamOptions()
        self._unit: TimeUnit = options.time_unit
        self._default = None if options.default_event is None else _action(options.default_event)
        self._table = Table(path)
        required = (
            ("timestamp_ms", "product_id")
            if self._default is not None
            else ("timestamp_ms", "product_id", "event")
        )
        self._columns = resolve_columns(self._table, options.mapping, FIELDS, required)
        if "user_id" not in self._columns and "session_id" not in self._columns:
            raise UnreadableSourceError(
                f"{path.name} has no column for user_id or session_id; it has {', '.join(self._table.columns)}"
            )

    @property
    def read_fraction(self) -> float:
        """How much of the file has been read, 0 to 1."""
        return self._table.read_fraction

    def rows(self) -> Iterator[ClickstreamRow]:
        """Every event in the order of the file, rejected rows among them."""
        for raw in self._table.rows():
            try:
                yield AcceptedRow(raw.line, self._event(raw))
            except ContractError as error:
                yield RejectedRow(raw.line, str(error))

    def _event(self, raw: RawRow) -> ShopperEvent:
        if raw.defect is not None:
            raise RowError(raw.defect)
        cells = {name: raw.cells[column] for name, column in self._columns.items() if column in raw.cells}
        if "timestamp_ms" not in cells:
            raise RowError("timestamp_ms is empty")
        action = _action(as_text(cells["event"])) if "event" in cells else self._default
        if action is None:
            raise RowError("event is empty; give view, cart-add or purchase")
        user, session = as_text(cells.get("user_id", "")), as_text(cells.get("session_id", ""))
        who = (
            as_text(cells.get("event_id", "")) or _event_id(raw),
            as_time_ms("timestamp_ms", cells["timestamp_ms"], self._unit),
            user or None,
            session or None,
            as_text(cells.get("product_id", "")),
        )
        if action is Action.VIEW:
            return PdpView(*who)
        quantity = as_number("quantity", cells["quantity"]) if "quantity" in cells else 1.0
        if action is Action.CART_ADD:
            return CartAdd(*who, quantity)
        return Purchase(
            *who, quantity, as_number("unit_price", cells["unit_price"]) if "unit_price" in cells else None
        )


def _action(word: str) -> Action:
    action = ACTIONS.get(word.strip().lower().replace("_", "-").replace(" ", "-"))
    if action is None:
        raise RowError(f"event is {word[:40]!r}; give view, cart-add or purchase")
    return action


def _event_id(raw: RawRow) -> str:
    """The same for the same row in the same line: 128 bits of BLAKE2b."""
    digest = blake2b(str(raw.line).encode(), digest_size=16)
    for column, value in raw.cells.items():
        digest.update(f"\x1e{column}\x1f{value}".encode(errors="surrogatepass"))
    return digest.hexdigest()
