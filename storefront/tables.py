"""What answers are made of: lists, products, and how current they are; in memory, or shared in Redis."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from consumers.runtime.records import Record
from schemas.events import ProductCreated
from storefront.lists import Listed, ListTable
from storefront.products import ProductTable


class Freshness(NamedTuple):
    """How current the tables are; times in milliseconds since the Unix epoch."""

    ready: bool
    """Everything that was on the topics at the start is in."""
    as_of_ms: int
    """When they were last seen to hold everything that Kafka has; 0 where never."""
    stale: bool
    """Kafka has been silent, or they lag behind it, for longer than the settings allow."""


class Tables(Protocol):
    """Asking changes nothing. Raises ``TablesUnavailableError`` where a shared table does not answer."""

    async def lists(self, keys: Sequence[str]) -> Sequence[Listed | None]:
        """The lists of keys, ``kind:subject``, in their order; None where there is none."""
        ...

    async def products(self, product_ids: Iterable[str]) -> Mapping[str, ProductCreated]:
        """At least these products, of which retired and unknown ones are left out."""
        ...

    async def newest(self, category: str | None, count: int) -> Sequence[str]:
        """At most ``count`` products in stock of a category, or of all, newest first."""
        ...

    async def categories(self) -> Sequence[str]:
        """Every category that has a product in stock, in no order."""
        ...

    async def freshness(self) -> Freshness:
        """How current the tables are."""
        ...


class Currency:
    """When the tables were last seen to be current; told by the thread that follows."""

    def __init__(self, stale_after_seconds: float) -> None:
        self._stale_after_ms = 1_000 * stale_after_seconds
        self._ready = False
        self._as_of_ms = 0

    def current(self, now_ms: int) -> None:
        """Everything that Kafka had at this time is in."""
        self._as_of_ms = now_ms
        self._ready = True

    def now(self) -> Freshness:
        """How current the tables are at this moment."""
        age_ms = time.time_ns() // 1_000_000 - self._as_of_ms
        return Freshness(self._ready, self._as_of_ms, age_ms > self._stale_after_ms)


Changes = Sequence[tuple[str, Listed | None]]
"""Lists by key as they are now; None for one that was withdrawn, and for a ``product_key``."""

_PRODUCT = "product:"


def product_key(product_id: str) -> str:
    """Stands for a product itself among the keys of lists."""
    return _PRODUCT + product_id


def product_of(key: str) -> str | None:
    """The product that a ``product_key`` stands for; None for the key of a list."""
    return key.removeprefix(_PRODUCT) if key.startswith(_PRODUCT) else None


class MemoryTables:
    """The tables of this process alone; ``on_changes`` is told of lists, by the thread that takes records."""

    def __init__(
        self,
        lists: ListTable,
        products: ProductTable,
        currency: Currency,
        on_changes: Callable[[Changes], None] = lambda changes: None,
    ) -> None:
        self.list_table = lists
        self.product_table = products
        self._currency = currency
        self.on_changes = on_changes

    def take(self, records: Sequence[Record]) -> None:
        """Take records of product-created and recommendation-updated, in order."""
        products = self.product_table.apply(records)
        keys = dict.fromkeys(product_key(change.product_id) for change in products)
        keys |= dict.fromkeys(f"{change.kind}:{change.subject}" for change in self.list_table.apply(records))
        if keys:
            self.on_changes([(key, self.list_table.listed(key)) for key in keys])

    async def lists(self, keys: Sequence[str]) -> Sequence[Listed | None]:
        """See ``Tables``."""
        return list(map(self.list_table.listed, keys))

    async def products(self, product_ids: Iterable[str]) -> Mapping[str, ProductCreated]:
        """See ``Tables``."""
        return self.product_table.known

    async def newest(self, category: str | None, count: int) -> Sequence[str]:
        """See ``Tables``."""
        return self.product_table.newest(category, count)

    async def categories(self) -> Sequence[str]:
        """See ``Tables``."""
        return self.product_table.categories

    async def freshness(self) -> Freshness:
        """See ``Tables``."""
        return self._currency.now()
