"""``recsys simulate``: shoppers with tastes over a catalogue, until they are sent home."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.errors import ConfigurationError

if TYPE_CHECKING:
    from schemas.events import ProductCreated


def simulate(
    catalog: Annotated[
        Path | None, typer.Option(help="catalogue file or folder; by default the products that are published")
    ] = None,
    rate: Annotated[float, typer.Option(help="events a second")] = 20.0,
    shoppers: Annotated[int, typer.Option(min=1, help="how many shoppers there are")] = 500,
    seed: Annotated[int, typer.Option(help="another seed, other tastes")] = 0,
    events: Annotated[
        int | None, typer.Option(min=1, help="stop after so many events; by default Ctrl-C stops")
    ] = None,
) -> None:
    """Play shoppers with tastes: they view, drift to what is alike, fill carts and buy.

    The catalogue itself is not published; [bold]recsys publish catalogue[/bold] does that.
    """
    from rich.console import Console

    from cli.publishing import note, opened_shop
    from producers.pacing import Pacer
    from producers.simulate import Behaviour, Shoppers

    behaviour = Behaviour(events_per_second=rate)
    products = _published_products() if catalog is None else _products_in(catalog)
    if not products:
        where = "published; publish some with `recsys publish catalogue`" if catalog is None else f"in {catalog}"
        raise ConfigurationError(f"there are no products {where}")
    population = Shoppers(products, shoppers, seed, behaviour)
    pacer = Pacer(speed=1.0)
    sent = 0
    console = Console(stderr=True)
    with opened_shop() as shop, console.status("opening the doors") as status:
        try:
            for event in population.events(events, _now_ms()):
                pacer.wait(event.event_time_ms)
                with _uninterrupted():
                    shop.publish(event)
                    sent += 1
                if sent % max(1, int(rate)) == 0:
                    status.update(f"{sent:,} events of {shoppers:,} shoppers on {len(products):,} products")
        except KeyboardInterrupt:
            pass
    note(f"{sent:,} events published")


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hear Ctrl-C afterwards: what is published is counted."""
    heard: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: heard.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if heard:
        raise KeyboardInterrupt


def _products_in(path: Path) -> list[ProductCreated]:
    from producers.catalogue import Catalogue
    from producers.tables import AcceptedRow

    return [row.event for row in Catalogue(path, _now_ms()).rows() if isinstance(row, AcceptedRow)]


def _published_products() -> list[ProductCreated]:
    """What product-created holds: the products that are on sale and in stock."""
    from consumers.configuration import load
    from schemas.topics import PRODUCT_CREATED
    from storefront.following import TopicFollower
    from storefront.products import ProductTable

    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    table = ProductTable()
    keys: dict[str, None] = {}
    with TopicFollower(load().kafka, [PRODUCT_CREATED]) as follower:
        for records in follower.to_end():
            table.apply(records)
            keys.update(
                (record.key.decode(errors="replace"), None) for record in records if record.key is not None
            )
    return [product for key in keys if (product := table.get(key)) is not None and product.in_stock]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
