"""``recsys refit``: fit the matrix factorisation to everything, beside the traffic."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.progress import progress

if TYPE_CHECKING:
    from consumers.item_factors.refit_job import Engine
    from consumers.item_factors.settings import ItemFactorSettings


class EngineName(StrEnum):
    """What fits, as the command line takes it."""

    own = "own"
    spark = "spark"


def refit(
    engine: Annotated[EngineName, typer.Option(help="what fits: our own, or Apache Spark's ALS")] = EngineName.own,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="fit and report, but publish nothing")] = False,
    wait_seconds: Annotated[
        float, typer.Option(min=0, help="how long to wait until the item-factors stage has gone over")
    ] = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON alone on standard output")] = False,
) -> None:
    """Fit the matrix factorisation to all shoppers' histories until nothing changes any more.

    It goes on beside the traffic. Lists go over from the vectors that were learnt visit by visit to the new ones
    in one step, and learning goes on from those. Exit status 3: published, but not taken up in time.
    """
    from consumers.configuration import load
    from consumers.item_factors.refit_job import run_refit, taken_up
    from consumers.item_factors.refit_log import KafkaRefitLog
    from schemas.topics import ITEM_FACTORS

    configuration = load()
    settings = configuration.item_factors
    log = KafkaRefitLog(configuration.kafka, configuration.runtime)
    try:
        with progress(transient=True) as on_progress:
            report = run_refit(log, settings, make_engine(engine, settings), on_progress, publish=not dry_run)
            switched = False
            if not dry_run and wait_seconds:
                on_progress("waiting for item-factors", 0, 1)
                switched = taken_up(log.follow(ITEM_FACTORS, wait_seconds), report.generation)
    finally:
        log.close()
    document = {**report._asdict(), "published": not dry_run, "switched": switched}
    if as_json:
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    else:
        _print(document)
    if not dry_run and wait_seconds and not switched:
        _warn(wait_seconds)
        raise typer.Exit(3)


def make_engine(name: EngineName, settings: ItemFactorSettings) -> Engine:
    """The engine of a name."""
    if name == EngineName.own:
        from consumers.item_factors.refit_job import OwnEngine

        return OwnEngine()
    from consumers.item_factors.spark_engine import SparkEngine
    from deploy.embedded_kafka.distribution import find_java

    return SparkEngine(settings.spark, find_java())


def _print(document: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("", "", show_header=False, box=None)
    for name, value in document.items():
        table.add_row(name.replace("_", " "), str(value))
    Console().print(table)


def _warn(wait_seconds: float) -> None:
    from rich.console import Console

    Console(stderr=True, soft_wrap=True).print(
        f"the vectors are published, but the item-factors stage has not gone over to them in {wait_seconds:g} s. "
        "Does it run, and with the same item_factors.factors? It will when it starts; nothing has to be done again"
    )
