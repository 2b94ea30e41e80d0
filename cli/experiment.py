"""``recsys experiment``: what an experiment says so far."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from consumers.experiments import Experiment
    from recsys.evaluation.experiments import ExperimentReport
    from recsys.evaluation.lifts import Metric

app = typer.Typer(help="Experiments on shelves, as the configuration describes them.", no_args_is_help=True)

_METRICS = {
    "click_rate": "clicks an impression",
    "conversion": "shoppers who bought",
    "purchases_a_shopper": "purchases a shopper",
    "revenue_a_shopper": "revenue a shopper",
    "total_purchases_a_shopper": "all purchases a shopper",
    "total_revenue_a_shopper": "all revenue a shopper",
}


@app.callback()
def _group() -> None:
    """Make this a group of commands, of one so far."""


@app.command()
def report(
    name: Annotated[str, typer.Argument(help="an experiment of the configuration")],
    since: Annotated[
        datetime | None,
        typer.Option(help="what happened from then on, in local time", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M"]),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Compare the variants of an experiment with its control: figures, lifts with 95 % intervals, and a warning.

    The warning says that shoppers are not divided as they should be (p < 0.001): then something keeps those of a
    variant from being counted, and no figure can be trusted. Purchases and revenue are those put down to its
    shelves, all purchases and all revenue whatever its shoppers bought after they first saw one.
    """
    from rich.console import Console

    from storefront.configuration import load_storefront
    from storefront.experiments.reading import read_report

    configuration = load_storefront()
    experiment = find(configuration.experiments, name)
    since_ms = 0 if since is None else round(since.astimezone().timestamp() * 1_000)
    found = read_report(experiment, configuration.kafka, since_ms)
    if as_json:
        sys.stdout.write(json.dumps(as_document(found), ensure_ascii=False, indent=2) + "\n")
    else:
        Console().print(figures(found), "", lifts(found))
    notes = Console(stderr=True, soft_wrap=True)
    for note in remarks(found):
        notes.print(note)


def find(experiments: Sequence[Experiment], name: str) -> Experiment:
    """The experiment of a name; raises ``ConfigurationError`` where there is none."""
    from schemas.errors import ConfigurationError

    for experiment in experiments:
        if experiment.name == name:
            return experiment
    names = ", ".join(experiment.name for experiment in experiments) or "none at all"
    raise ConfigurationError(f"there is no experiment {name} in the configuration; there is {names}")


def as_document(found: ExperimentReport) -> dict[str, Any]:
    """The report as JSON has it."""
    variants = [
        {**one._asdict(), "metrics": {name: metric._asdict() for name, metric in one.metrics.items()}}
        for one in found.variants
    ]
    return {**found._asdict(), "variants": variants, "sample_ratio_mismatch": found.is_mismatched}


def figures(found: ExperimentReport) -> Table:
    """Each variant's sums."""
    from rich.table import Table

    table = Table("variant", "share", box=None, pad_edge=False, title=found.experiment, title_justify="left")
    for column in ("shoppers", "impressions", "clicks", "cart-adds", "purchases", "revenue"):
        table.add_column(column, justify="right")
    for one in found.variants:
        counts = (one.shoppers, one.impressions, one.clicks, one.cart_adds, one.purchases)
        name = f"{one.variant} (control)" if one.variant == found.control else one.variant
        table.add_row(name, f"{one.share:.1%}", *(f"{count:,}" for count in counts), f"{one.revenue:,.2f}")
    return table


def lifts(found: ExperimentReport) -> Table:
    """Each metric by variant, with the lift over the control and its interval."""
    from rich.table import Table

    table = Table("", *(one.variant for one in found.variants), box=None, pad_edge=False)
    for metric, title in _METRICS.items():
        table.add_row(title, *(_cell(one.metrics[metric]) for one in found.variants))
    return table


def _cell(metric: Metric) -> str:
    if metric.value is None:
        return "–"
    text = f"{metric.value:.4g}"
    if metric.lift is None or metric.lift_low is None or metric.lift_high is None:
        return text
    changed = f"{metric.lift:+.1%}"
    changed = f"[bold]{changed}[/bold]" if metric.is_significant else changed
    return f"{text}  {changed} ({metric.lift_low:+.1%} to {metric.lift_high:+.1%})"


def remarks(found: ExperimentReport) -> list[str]:
    """What a reader has to know before they believe the figures."""
    said = []
    if found.mismatch_p is None:
        said.append("no impression of the experiment has come yet")
    if found.is_mismatched:
        said.append(
            f"[bold red]sample-ratio mismatch[/bold red] (p = {found.mismatch_p:.2g}): shoppers are not divided "
            "by the shares; trust no figure before it is clear why"
        )
    if found.shoppers_in_several:
        said.append(f"{found.shoppers_in_several} shoppers saw several variants and are left out")
    return said
