"""From lists to what stands on a page: filtered by the products as they are now, never empty for want of a list.

A list was true when it was published; a product may have been retired since. So every answer is filtered by the
table of products at the time of reading, and a shelf that comes out short is filled with what is popular.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice

from consumers.experiments import Experiment
from schemas.events import Kind, ListedProduct, ProductCreated, Reason
from storefront.experiments.assignment import Assigned, assign
from storefront.lists import Listed
from storefront.rules.model import RuleSet
from storefront.rules.shelf_rules import NO_RULES, ShelfRules
from storefront.shelf_items import Filters as Filters
from storefront.shelf_items import ShelfItem
from storefront.shelf_items import ShelfRequest as ShelfRequest
from storefront.tables import Freshness, Tables
from storefront.wording import PRODUCT_KINDS

MAX_ITEMS = 50
"""Most products of one shelf."""


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(slots=True)
class Shelf:
    """What is shown for one request."""

    request: ShelfRequest
    listed: Listed | None
    """The list as it was published; None where there is none."""
    items: list[ShelfItem] = field(default_factory=list)
    rules: ShelfRules = NO_RULES
    """The shop's rules that hold for it."""
    fallback: str | None = None
    """The kind of list that the shelf was filled up with, or ``new``; None where its own list sufficed."""
    replaces: ShelfRequest | None = None
    """What was asked for, where an experiment shows another list; None where it does not."""
    variant: str = ""
    """The variant of an experiment that is shown, ``experiment:variant``; empty where there is none."""

    @property
    def asked(self) -> ShelfRequest:
        """What was asked for."""
        return self.replaces or self.request

    @property
    def subjects(self) -> set[str]:
        """What the shelf and the page at its place are about, which is not shown on it."""
        return {self.request.subject, self.asked.subject}

    @property
    def product_subject(self) -> str:
        """The product that the shelf is about; empty where it is about none."""
        return self.request.subject if self.request.kind in PRODUCT_KINDS else ""


@dataclass(frozen=True, slots=True)
class Page:
    """Shelves that were asked for together, the products that their reasons name, and how current they are."""

    shelves: Sequence[Shelf]
    products: Mapping[str, ProductCreated]
    freshness: Freshness


class Shelves:
    """Answers requests from the tables, by the rules as they are at the time."""

    def __init__(
        self,
        tables: Tables,
        rules: Callable[[], RuleSet] = RuleSet,
        now_ms: Callable[[], int] = _now_ms,
        experiments: Sequence[Experiment] = (),
    ) -> None:
        self.tables = tables
        self._rules = rules
        self._now_ms = now_ms
        self._experiments = experiments

    async def read(
        self, requests: Sequence[ShelfRequest], n: int, filters: Filters, placement: str = "", shopper: str = ""
    ) -> Page:
        """Up to ``n`` products for each request, in their order. A product fills up only one of the shelves.

        ``shopper`` is the subject of who is shown them, for experiments; without, there are none.
        """
        requests = await self._with_categories(requests, filters)
        at_ms = self._now_ms()
        assigned = assign(self._experiments, requests, placement, shopper, at_ms)
        requests = [one.request for one in assigned]
        sources = {key: None for request in requests for key in (request.key, *_fallback_keys(request))}
        found = dict(zip(sources, await self.tables.lists(list(sources)), strict=True))
        shelves = self._shelves(assigned, found, placement, at_ms)
        subjects = [r.subject for r in requests if r.kind in PRODUCT_KINDS]
        pinned = (product_id for shelf in shelves for product_id in shelf.rules.pinned)
        products = await self.tables.products(chain(_named(found.values()), subjects, pinned))
        _choose(shelves, products, n, filters)
        if filters.fill:
            products = await self._fill(shelves, n, filters, found, products)
        return Page(shelves, products, await self.tables.freshness())

    def _shelves(
        self, assigned: Sequence[Assigned], found: Mapping[str, Listed | None], placement: str, at_ms: int
    ) -> list[Shelf]:
        rules = self._rules()
        return [
            Shelf(
                request,
                found[request.key],
                rules=ShelfRules.of(rules, request.kind, placement, at_ms, variant),
                replaces=None if asked is request else asked,
                variant=variant,
            )
            for asked, request, variant in assigned
        ]

    async def _with_categories(self, requests: Sequence[ShelfRequest], filters: Filters) -> list[ShelfRequest]:
        """A shelf about a product falls back on the product's category."""
        subjects = [r.subject for r in requests if r.kind in PRODUCT_KINDS]
        known = await self.tables.products(subjects) if subjects else {}

        def category_of(request: ShelfRequest) -> str | None:
            if filters.category is not None:
                return filters.category
            product = known.get(request.subject) if request.kind in PRODUCT_KINDS else None
            return product.category if product is not None else request.category

        return [ShelfRequest(r.kind, r.subject, category_of(r)) for r in requests]

    async def _fill(
        self,
        shelves: Sequence[Shelf],
        n: int,
        filters: Filters,
        found: Mapping[str, Listed | None],
        products: Mapping[str, ProductCreated],
    ) -> Mapping[str, ProductCreated]:
        """Fill the short shelves up; returns the products, those that were looked up for it included."""
        shown = {item.product.product_id for shelf in shelves for item in shelf.items}
        shown.update(*(shelf.subjects for shelf in shelves))
        for shelf in shelves:
            if len(shelf.items) < n:
                products = await self._fill_one(shelf, n, filters, found, products, shown)
        for shelf in shelves:
            if not shelf.items:  # a small shop: better what stands elsewhere on the page than nothing
                products = await self._fill_one(shelf, n, filters, found, products, shelf.subjects)
        return products

    async def _fill_one(
        self,
        shelf: Shelf,
        n: int,
        filters: Filters,
        found: Mapping[str, Listed | None],
        products: Mapping[str, ProductCreated],
        shown: set[str],
    ) -> Mapping[str, ProductCreated]:
        """Fill one up with what is not in ``shown``, and add it there."""
        for key in _fallback_keys(shelf.request):
            _add(shelf, _allowed(shelf, found[key], products, filters, shown), n, key.partition(":")[0], shown)
        for category in _categories(shelf.request.category):
            if len(shelf.items) >= n:
                break
            newest = await self.tables.newest(category, n + len(shown) + len(filters.exclude))
            fresh = await self.tables.products(newest)
            products = products if fresh is products else {**products, **fresh}
            listed = (ListedProduct(product_id, 0.0, Reason.NEW) for product_id in newest)
            passing = _passing(shelf, listed, category or "", products, filters, shown)
            _add(shelf, passing, n, Reason.NEW, shown)
        return products


def _categories(category: str | None) -> Iterator[str | None]:
    if category is not None:
        yield category
    yield None


def _fallback_keys(request: ShelfRequest) -> list[str]:
    """Lists that a shelf is filled up with, best first: of its category, then of the shop."""
    kinds = (Kind.POPULAR, Kind.TRENDING) if request.kind in PRODUCT_KINDS else (Kind.TRENDING, Kind.POPULAR)
    places = dict.fromkeys((request.category or "", ""))
    keys = [f"{kind}:{place}" for place in places for kind in kinds]
    return [key for key in keys if key != request.key]


def _named(found: Iterable[Listed | None]) -> Iterator[str]:
    """The products that lists and their reasons name; lazily, for tables in memory need not be told."""
    for listed in found:
        if listed is not None:
            for item in listed.recommendation.items:
                yield item.product_id
                if item.because:
                    yield item.because


def candidates_of(shelf: Shelf, products: Mapping[str, ProductCreated], filters: Filters) -> Iterator[ShelfItem]:
    """The products of a shelf's own list that may be shown, in its order."""
    return _allowed(shelf, shelf.listed, products, filters, shelf.subjects)


def _allowed(
    shelf: Shelf,
    listed: Listed | None,
    products: Mapping[str, ProductCreated],
    filters: Filters,
    besides: Collection[str],
) -> Iterator[ShelfItem]:
    if listed is None:
        return iter(())
    found = listed.recommendation
    about = "" if found.kind == Kind.FOR_YOU else found.subject
    return _passing(shelf, found.items, about, products, filters, besides)


def _passing(
    shelf: Shelf,
    items: Iterable[ListedProduct],
    about: str,
    products: Mapping[str, ProductCreated],
    filters: Filters,
    besides: Collection[str],
) -> Iterator[ShelfItem]:
    rules = shelf.rules
    for item in items:
        product = products.get(item.product_id)
        if product is None or item.product_id in besides or not filters.allow(product):
            continue
        if not rules or rules.hides(product, products.get(item.because or shelf.product_subject)) is None:
            yield ShelfItem(product, item, about)


def with_pins(
    shelf: Shelf,
    items: Sequence[ShelfItem],
    products: Mapping[str, ProductCreated],
    n: int,
    filters: Filters,
) -> list[ShelfItem]:
    """A shelf's products with those that its rules pin."""
    pinned = (ListedProduct(product_id, 0.0, Reason.PINNED) for product_id in shelf.rules.pinned)
    passing = _passing(shelf, pinned, "", products, filters, shelf.subjects)
    return shelf.rules.with_pins(items, products, n, [item.product.product_id for item in passing])


def _choose(shelves: Sequence[Shelf], products: Mapping[str, ProductCreated], n: int, filters: Filters) -> None:
    """Put products of its own list on each shelf; one with the same list as another goes on with the rest."""
    shown: dict[str, set[str]] = {}
    for shelf in shelves:
        others = shown.setdefault(shelf.request.key, set())
        listed = (i for i in candidates_of(shelf, products, filters) if i.product.product_id not in others)
        if shelf.rules:
            chosen = _chosen(shelf.rules.ordered(listed), n, filters.diversity)
            shelf.items = with_pins(shelf, chosen, products, n, filters)
        else:
            shelf.items = _chosen(listed, n, filters.diversity)
        others.update(item.product.product_id for item in shelf.items)


def _add(shelf: Shelf, candidates: Iterable[ShelfItem], n: int, source: str, on_page: set[str]) -> None:
    for item in candidates:
        if len(shelf.items) >= n:
            return
        if item.product.product_id not in on_page:
            shelf.items.append(item)
            on_page.add(item.product.product_id)
            shelf.fallback = shelf.fallback or source


def _chosen(candidates: Iterable[ShelfItem], n: int, diversity: float) -> list[ShelfItem]:
    """The first ``n``; with diversity those that a category fewer times before weighs up a later rank.

    Greedy, as maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998) with the category as likeness.
    """
    if diversity <= 0:
        return list(islice(candidates, n))
    items = list(candidates)
    relevance = {item.product.product_id: 1 - rank / len(items) for rank, item in enumerate(items)}
    seen: Counter[str] = Counter()
    chosen: list[ShelfItem] = []

    def gain(item: ShelfItem) -> float:
        return (1 - diversity) * relevance[item.product.product_id] - diversity * seen[item.product.category]

    while items and len(chosen) < n:
        best = max(items, key=gain)
        items.remove(best)
        chosen.append(best)
        seen[best.product.category] += 1
    return chosen
