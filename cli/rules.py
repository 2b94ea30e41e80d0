"""``recsys rules``: check a merchandiser's rules, and see what they make of a list before they are in force."""

from __future__ import annotations

import json
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.watch import ListKind, read_list

if TYPE_CHECKING:
    from rich.table import Table

    from storefront.rules.preview import PreviewRow

app = typer.Typer(help="Check a merchandiser's rules, and preview what they make of a list.", no_args_is_help=True)

RulesPath = Annotated[Path, typer.Argument(help="file of rules (TOML)", exists=True, dir_okay=False)]


@app.command()
def check(path: RulesPath) -> None:
    """Say whether the rules are in order, and what is wrong with those that are not."""
    from rich.console import Console

    from storefront.rules.file import read_rules

    rules = read_rules(path)
    count = len(rules.rule) + len(rules.never_together)
    Console(stderr=True).print(f"{path}: {count} rules in order")


@app.command()
def preview(
    path: RulesPath,
    kind: Annotated[ListKind, typer.Argument(help="which kind of list")],
    subject: Annotated[str, typer.Argument(help="a product, user, session or category; none: the shop")] = "",
    placement: Annotated[str, typer.Option(help="where the list is shown")] = "",
    variant: Annotated[str, typer.Option(help="as which variant of an experiment, experiment:variant")] = "",
    at: Annotated[
        datetime | None,
        typer.Option(help="when, in local time", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]),
    ] = None,
    n: Annotated[int, typer.Option("--n", min=1, max=50, help="products shown")] = 12,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Print a published list with its ranks before and after the rules, and which rule did what.

    [bold]recsys rules preview rules.toml similar P123 --placement pdp --at 2026-12-01[/bold]
    """
    from rich.console import Console

    from cli.absence import NoListError, explain, read_facts
    from consumers.configuration import load
    from storefront.lists import Listed
    from storefront.rules.file import read_rules
    from storefront.rules.preview import preview as rows_of
    from storefront.shelves import Shelf, ShelfRequest

    rules = read_rules(path)
    found, products = read_list(kind.value, subject)
    if found is None:
        raise NoListError(explain(kind.value, subject, read_facts(kind.value, subject, load().kafka)))
    at_ms = time.time_ns() // 1_000_000 if at is None else round(at.astimezone().timestamp() * 1_000)
    shelf = Shelf(ShelfRequest(kind.value, subject), Listed(found, 0))
    rows = rows_of(shelf, rules, products.known, placement, at_ms, n, variant)
    if as_json:
        sys.stdout.write(json.dumps([row._asdict() for row in rows], ensure_ascii=False, indent=2) + "\n")
    else:
        Console().print(_table(rows, products.title))


def _table(rows: list[PreviewRow], title: object) -> Table:
    from rich.table import Table

    assert callable(title)
    table = Table("before", "after", "product", "title", "rules", box=None, pad_edge=False)
    for row in rows:
        style = "dim" if row.after is None else "bold" if row.before is None else ""
        change = "–" if row.after is None else str(row.after)
        came = "–" if row.before is None else str(row.before)
        table.add_row(came, change, row.product_id, title(row.product_id), ", ".join(row.rules), style=style)
    return table
