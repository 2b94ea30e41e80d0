"""``recsys bench``: what this machine does, measured on a real Kafka."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.progress import progress

app = typer.Typer(
    help="Measure freshness and throughput, on the embedded Kafka or the one that is configured.",
    no_args_is_help=True,
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON alone on standard output.")]


@app.command()
def freshness(
    views: Annotated[int, typer.Option(min=10, help="Views to time.")] = 300,
    new_products: Annotated[int, typer.Option(min=5, help="New products to time.")] = 40,
    as_json: Json = False,
) -> None:
    """Time from a view to the shopper's own list, and from a new product to the lists of others.

    A subscriber waits for the lists; beside them stands the time that an empty hop takes.
    """
    from benchmarks.cluster import bench_cluster
    from benchmarks.freshness import FreshnessBench, bench_freshness
    from consumers.configuration import load

    bench = FreshnessBench(views=views, new_products=new_products)
    with (
        bench_cluster(load().kafka) as kafka,
        tempfile.TemporaryDirectory(prefix="recsys-bench-", ignore_cleanup_errors=True) as folder,
        progress() as report,
    ):
        result = bench_freshness(kafka, Path(folder), bench, report)
    _print(result, as_json)


@app.command()
def stream(
    events: Annotated[int, typer.Option(min=3_000, help="Events to take, in three rounds.")] = 60_000,
    as_json: Json = False,
) -> None:
    """Events a second of the interactions stage, exactly once, beside an empty loop of the same client."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as `recsys run` does

    from benchmarks.cluster import bench_cluster
    from benchmarks.stream import StreamBench, bench_stream
    from consumers.configuration import load

    with bench_cluster(load().kafka) as kafka, progress() as report:
        result = bench_stream(kafka, StreamBench(events=events), lambda done, total: report("events", done, total))
    _print(result, as_json)


@app.command()
def api(
    requests_per_second: Annotated[float, typer.Option(min=1, help="Product pages a second.")] = 500.0,
    seconds: Annotated[float, typer.Option(min=1, max=600, help="How long they are measured.")] = 20.0,
    shoppers: Annotated[int, typer.Option(min=1, help="Shoppers whose events come beside.")] = 200,
    as_json: Json = False,
) -> None:
    """Time to answer a product page's three shelves over HTTP beside shoppers, and how many a second at most."""
    from benchmarks.api import ApiBench, bench_api
    from benchmarks.cluster import bench_cluster
    from consumers.configuration import load

    bench = ApiBench(requests_per_second=requests_per_second, seconds=seconds, shoppers=shoppers)
    with (
        bench_cluster(load().kafka) as kafka,
        tempfile.TemporaryDirectory(prefix="recsys-bench-", ignore_cleanup_errors=True) as folder,
        progress() as report,
    ):
        result = bench_api(kafka, Path(folder), bench, report)
    _print(result, as_json)


@app.command()
def photo(
    products: Annotated[int, typer.Option(min=1_000, help="Products in the synthetic catalogue.")] = 100_000,
    as_json: Json = False,
) -> None:
    """CPU time of one core that a search by photo takes; needs no Kafka."""
    from benchmarks.photo_search import PhotoBench, bench_photo_search

    with progress() as report:
        result = bench_photo_search(PhotoBench(products), lambda done, total: report("products", done, total))
    _print(result, as_json)


@app.command()
def neighbours(
    products: Annotated[int, typer.Option(min=1_000, help="Products in the synthetic catalogue.")] = 50_000,
    search: Annotated[str | None, typer.Option(help="exact, approximate or auto; unset: as configured.")] = None,
    as_json: Json = False,
) -> None:
    """What a new product costs among so many, beside brute-force queries; needs no Kafka.

    From similar_products.approximate_from products on, a graph is searched. A large catalogue takes long, so the
    figures of each size on the way are printed on standard error.
    """
    from benchmarks.neighbours import NeighbourBench, bench_neighbours
    from consumers.configuration import load
    from consumers.similar_products.settings import SimilarProductsSettings

    configured = load().similar_products.model_dump()
    settings = SimilarProductsSettings(**{**configured, **({"search": search} if search else {})})
    bench = NeighbourBench(products, settings=settings)
    with progress() as report:
        result = bench_neighbours(
            bench, lambda done, total: report("products", done, total), lambda size: _print_error(json.dumps(size))
        )
    _print(result, as_json)


@app.command()
def behaviour(
    as_json: Json = False,
    plot: Annotated[Path | None, typer.Option(dir_okay=False, help="Draw it as an SVG into this file.")] = None,
) -> None:
    """What an event and a list cost, and what the state takes, in shops of four sizes; needs no Kafka."""
    from benchmarks.behaviour import bench_behaviour
    from benchmarks.behaviour_plot import drawn

    with progress() as report:
        result = bench_behaviour(on_progress=lambda done, total: report("events", done, total))
    if plot is not None:
        plot.write_text(drawn(result), encoding="utf-8")
    if as_json:
        sys.stdout.write(json.dumps(result) + "\n")
    else:
        _plot(result)


@app.command()
def embed(
    images: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="A folder of pictures; unset: drawn ones.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds, in which the contenders take turns.")] = 3,
    as_json: Json = False,
) -> None:
    """Pictures a second from file to vector, beside Keras and beside the machine's limit; needs no Kafka.

    Keras takes part where TensorFlow is installed (requirements/train.txt).
    """
    from benchmarks.embedding import EmbedBench, bench_embed

    with (
        tempfile.TemporaryDirectory(prefix="recsys-bench-", ignore_cleanup_errors=True) as folder,
        progress() as report,
    ):
        bench = EmbedBench(images, rounds=rounds)
        result = bench_embed(Path(folder), bench, lambda done, total: report("rounds", done, total))
    _print(result, as_json)


def _print(result: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(result) + "\n")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("figure", "value")
    for name, value in result.items():
        if isinstance(value, dict):
            for part, number in value.items():
                table.add_row(f"{name} {part}", str(number))
        elif not isinstance(value, list):
            table.add_row(name, str(value))
    Console(stderr=True).print(table)


def _print_error(line: str) -> None:
    sys.stderr.write(line + "\n")


def _plot(sizes: Sequence[Mapping[str, Any]]) -> None:
    """A bar a figure and size, the largest of each figure as long as the column is wide."""
    from rich.bar import Bar
    from rich.console import Console
    from rich.table import Table

    figures = {
        "learn, µs an event": [size["learn_us_per_event"] for size in sizes],
        "list, ms at p50": [size["recommend_ms"]["p50"] for size in sizes],
        "list, ms at p99": [size["recommend_ms"]["p99"] for size in sizes],
        "bytes a shopper": [size["bytes_per_user"] for size in sizes],
        "bytes an item": [size["bytes_per_item"] for size in sizes],
    }
    table = Table("figure", "shoppers × items × history", "", "")
    for name, values in figures.items():
        for size, value in zip(sizes, values, strict=True):
            shape = f"{size['users']:,} × {size['items']:,} × {size['history']}"
            table.add_row(name, shape, f"{value:,}", Bar(max(values), 0, value, width=40))
    Console(stderr=True).print(table)
