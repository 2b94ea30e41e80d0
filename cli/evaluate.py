"""``recsys evaluate``: how good the lists are, on recorded data."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.progress import progress

app = typer.Typer(
    help="Measure the recommendations on recorded data, with the stages' own code and no Kafka.",
    epilog="Settings are those in force: see `recsys config show`.",
    no_args_is_help=True,
)


Existing = typer.Option(exists=True, dir_okay=False, readable=True)
Length = Annotated[int, typer.Option("--k", min=1, max=1_000, help="how much of a list counts")]
Map = Annotated[
    str, typer.Option("--map", metavar="FIELD=COLUMN,…", help="which column holds a field, where names differ")
]
Json = Annotated[bool, typer.Option("--json", help="print JSON alone on standard output")]

_WORDS = {
    "k": "length of a list",
    "queries": "queries",
    "hr": "hit rate",
    "ndcg": "NDCG",
    "recall": "recall",
    "mrr": "MRR",
    "coverage": "coverage of the catalogue",
    "precision": "share in the same category",
    "plain": "without the correction of hubs",
    "hubness": "hubs",
    "places": "places of a list",
    "largest_before": "lists with the most listed product, uncorrected",
    "largest_after": "corrected",
    "in_no_list_before": "share of products in no list, uncorrected",
    "in_no_list_after": "corrected",
    "products": "products",
    "unusable": "products whose picture cannot be used",
    "events": "events learnt",
    "rejected": "rows rejected",
    "first_rejection": "the first of them",
    "learn_us_per_event": "time to learn an event, µs",
    "recommend_ms": "time to recommend, ms",
}


@app.command()
def holdout(
    events: Annotated[Path, Existing],
    test: Annotated[Path, Existing],
    mapping: Map = "",
    k: Length = 10,
    as_json: Json = False,
) -> None:
    """Learn EVENTS in time order, then rank for each user of TEST what they have not touched yet.

    EVENTS is a .csv, .tsv or .parquet as `recsys publish events` takes it: timestamp_ms, user_id, product_id,
    event, and optional session_id, quantity. TEST needs user_id and product_id: what should be in the lists.
    """
    from cli.ranking_evaluation import HoldoutFiles, evaluate_holdout
    from consumers.configuration import load
    from producers.tables import parse_mapping

    files = HoldoutFiles(events, test, parse_mapping(mapping))
    configuration = load()
    with progress(transient=True) as on_progress:
        report = evaluate_holdout(files, configuration, k, on_progress)
    _print(f"holdout of {test.name} after {events.name}", report, as_json)


@app.command()
def next_item(
    train: Annotated[Path, Existing],
    test: Annotated[Path, Existing],
    positions: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="only these: session_id, position (from 0)")
    ] = None,
    mapping: Map = "",
    k: Length = 20,
    as_json: Json = False,
) -> None:
    """Learn the sessions of TRAIN, then rank each next click of the sessions of TEST, given the clicks before it.

    Both are tab-separated with the columns SessionId, ItemId, Time (seconds since 1970). Nothing is learnt from
    TEST; ties count against; an item may be recommended again.
    """
    from cli.ranking_evaluation import NextItemFiles, evaluate_next_item
    from consumers.configuration import load
    from producers.tables import parse_mapping

    files = NextItemFiles(train, test, positions, parse_mapping(mapping))
    configuration = load()
    with progress(transient=True) as on_progress:
        report = evaluate_next_item(files, configuration, k, on_progress)
    _print(f"next item in {test.name} after {train.name}", report, as_json)


@app.command()
def similar(
    catalog: Annotated[
        Path, typer.Option(exists=True, help="a folder, or a table, as `recsys publish catalogue`")
    ],
    queries: Annotated[
        str | None, typer.Option(help="only products of this split are queries; all are searched")
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(help="an encoder's name or .tflite file; unset: `images.encoder`")
    ] = None,
    k: Length = 10,
    as_json: Json = False,
) -> None:
    """Embed the pictures of CATALOG, and measure how many of the K nearest are in the same category."""
    from cli.similar_evaluation import evaluate_similar
    from consumers.configuration import load

    images = load().images
    if encoder is not None:
        images = images.model_copy(update={"encoder": encoder})
    with progress(transient=True) as on_progress:
        report = evaluate_similar(
            catalog, queries, k, lambda done, total: on_progress("embedding", done, total), images
        )
    _print(f"similar products in {catalog.name}", report, as_json)


def _print(title: str, report: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("", "", title=title, show_header=False)
    for name, value in report.items():
        if value != "":
            table.add_row(_WORDS.get(name, name), _text(value))
    Console().print(table)


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{_WORDS.get(name, name)} {_text(part)}" for name, part in value.items())
    return f"{value:.4f}" if isinstance(value, float) else str(value)
