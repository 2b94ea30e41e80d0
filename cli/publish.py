"""``recsys publish``: a catalogue, a recorded clickstream, the demo shop's catalogue; and retiring a product."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.errors import ConfigurationError

if TYPE_CHECKING:
    from cli.publishing import Options
    from producers.catalogue import Catalogue
    from producers.publications import ShopEvent

app = typer.Typer(
    help="Publish products and what shoppers did.",
    epilog="Exit status: 0 when every row went through, 3 when some were rejected and the rest went through, "
    "1 when Kafka failed, 2 when the call or the file is wrong.",
    no_args_is_help=True,
)

Map = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="FIELD=COLUMN,…", help="which column holds a field, where names differ"),
]
Rejects = Annotated[Path | None, typer.Option(dir_okay=False, help="write every rejected row here, as CSV")]
Json = Annotated[bool, typer.Option("--json", help="report as JSON: published, rejected, rejections (the first)")]

_UNLIKELY_MS = 100_000_000_000
"""March 1973 in milliseconds; a clickstream before it is most likely counted in seconds."""


class TimeUnit(StrEnum):
    """What a timestamp column holds."""

    ms = "ms"
    s = "s"
    iso = "iso"


class EventKind(StrEnum):
    """What a shopper did."""

    view = "view"
    cart_add = "cart-add"
    purchase = "purchase"


@app.command()
def catalogue(
    path: Annotated[
        Path, typer.Argument(help="a .csv, .tsv or .parquet, a folder with a catalog.csv, or pictures by category")
    ],
    mapping: Map = None,
    images_dir: Annotated[
        Path | None,
        typer.Option(file_okay=False, help="where picture paths begin; by default the catalogue's folder"),
    ] = None,
    rejects: Rejects = None,
    as_json: Json = False,
) -> None:
    """Publish products: a row each, or a picture each. Publishing again updates them.

    Fields: product_id, title, category, image (an address or a path), other_images (with commas between), price,
    in_stock, event_time_ms; other columns become attributes. A picture in CATEGORY/P123.jpg is the product P123.
    """
    from cli.publishing import Options
    from consumers.configuration import load
    from producers.catalogue import Catalogue, CatalogueOptions

    looked_below = load().images.fetch.images_dir
    options = CatalogueOptions(_mapping(mapping), pictures_dir=images_dir, images_dir=looked_below)
    source = Catalogue(path, _now_ms(), options)
    _publish_products(source, Options(rejects, as_json), looked_below is not None)


@app.command()
def demo_catalogue(
    folder: Annotated[Path, typer.Argument(file_okay=False, help="where the pictures and catalog.csv go")],
    products: Annotated[int, typer.Option(min=1, max=20_000)] = 320,
    seed: Annotated[int, typer.Option(help="another seed, other products")] = 0,
    as_json: Json = False,
) -> None:
    """Draw the demo shop's products into FOLDER, and publish them."""
    from rich.console import Console
    from rich.progress import Progress

    from cli.publishing import Options
    from consumers.configuration import load
    from producers.catalogue import Catalogue, CatalogueOptions
    from producers.rendered_catalogue import render_catalogue

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("drawing", total=products)
        render_catalogue(folder, products, seed, lambda done: bar.update(task, completed=done))
    looked_below = load().images.fetch.images_dir
    source = Catalogue(folder, _now_ms(), CatalogueOptions(images_dir=looked_below))
    _publish_products(source, Options(None, as_json), looked_below is not None)


@app.command()
def events(
    path: Annotated[Path, typer.Argument(help="a .csv, .tsv or .parquet")],
    mapping: Map = None,
    rate: Annotated[float | None, typer.Option(help="events a second; by default as fast as possible")] = None,
    as_recorded: Annotated[
        bool, typer.Option("--as-recorded", help="with the distances in time that they were recorded with")
    ] = False,
    speed: Annotated[float, typer.Option(help="with --as-recorded: so many times faster")] = 1.0,
    time_unit: Annotated[TimeUnit, typer.Option(help="what the timestamp column holds")] = TimeUnit.ms,
    default_event: Annotated[
        EventKind | None, typer.Option(help="what a row is where there is no event column")
    ] = None,
    rejects: Rejects = None,
    as_json: Json = False,
) -> None:
    """Publish a recorded clickstream, a row an event. Publishing the same file again changes nothing.

    Fields: timestamp_ms, user_id, product_id, event (view, cart-add or purchase), and optional session_id (a guest
    has that alone), quantity, unit_price, event_id.
    """
    from cli.publishing import Options, note, publish_rows
    from producers.clickstream import Clickstream, ClickstreamOptions
    from producers.pacing import Pacer

    if speed != 1.0 and not as_recorded:
        raise ConfigurationError("--speed needs --as-recorded")
    pacer = Pacer(rate_per_second=rate, speed=speed if as_recorded else None)
    default = None if default_event is None else default_event.value
    options = ClickstreamOptions(_mapping(mapping), time_unit.value, default)
    looked = False

    def published(event: ShopEvent) -> None:
        nonlocal looked
        if not looked and event.event_time_ms < _UNLIKELY_MS:
            day = datetime.fromtimestamp(event.event_time_ms / 1000, UTC).date()
            note(f"note: the first event is dated {day}; if its time is in seconds, give --time-unit s")
        looked = True

    publish_rows(Clickstream(path, options), Options(rejects, as_json), pacer, published)


@app.command()
def retire(
    product: Annotated[str, typer.Argument(help="the product_id")],
) -> None:
    """Take a product off every list for good; publishing it again brings it back."""
    from cli.publishing import note, opened_shop

    with opened_shop() as shop:
        shop.product_retired(product)
    note(f"{product} is retired")


def _publish_products(source: Catalogue, options: Options, has_images_dir: bool) -> None:
    from cli.publishing import note, publish_rows

    said = has_images_dir

    def published(event: ShopEvent) -> None:
        nonlocal said
        url = None if said else getattr(event, "image_url", None)
        if url is not None and "://" not in url:
            said = True
            note(
                f"note: pictures are paths below {source.images_dir}; the image stage finds them with "
                f"RECSYS_IMAGES__FETCH__IMAGES_DIR={source.images_dir}"
            )

    publish_rows(source, options, on_published=published)


def _mapping(given: list[str] | None) -> dict[str, str]:
    from producers.tables import parse_mapping

    return parse_mapping(",".join(given or []))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
