"""``recsys demo``: a shop, its shoppers and its recommendations, with nothing configured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_PRODUCTS = 320
DEFAULT_RATE = 25.0
DEFAULT_EVENTS = 1_000


def demo(
    catalog: Annotated[
        Path | None, typer.Option(help="your own products: a CSV or Parquet, or a folder of pictures by category")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="one bounded round, with its account as JSON")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON alone, without progress; implies --once")] = False,
    rate: Annotated[float, typer.Option(min=0.1, max=10_000, help="shoppers' events a second")] = DEFAULT_RATE,
    events: Annotated[
        int | None, typer.Option(min=0, help=f"how many events; --once: {DEFAULT_EVENTS}, else without end")
    ] = None,
    products: Annotated[
        int, typer.Option(min=2, max=20_000, help="products of the generated catalogue")
    ] = DEFAULT_PRODUCTS,
    seed: Annotated[int, typer.Option(help="another seed, another catalogue and other shoppers")] = 0,
    browser: Annotated[bool, typer.Option(help="open the shop in a browser, where there is a screen")] = True,
    keep: Annotated[bool, typer.Option("--keep", help="keep topics, pictures and logs afterwards")] = False,
) -> None:
    """Start Kafka and all stages, open a shop, let shoppers in, and watch their lists change.

    [bold]recsys demo[/bold] goes on until Ctrl-C, which stops everything. [bold]recsys demo --once[/bold] plays
    one round, and ends with status 1 if anything that was published is neither processed nor a dead letter.
    """
    from cli.demo_run import DemoOptions, run_demo
    from cli.demo_stack import CatalogueWish

    once = once or as_json
    options = DemoOptions(
        catalogue=CatalogueWish(catalog, products, seed),
        once=once,
        quiet=as_json,
        rate_per_second=rate,
        events=DEFAULT_EVENTS if once and events is None else events,
        keep=keep,
        open_browser=browser,
    )
    raise typer.Exit(run_demo(options))
