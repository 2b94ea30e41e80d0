"""``recsys watch`` follows the lists as they change; ``recsys show`` prints one, with the reasons."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from schemas.events import RecommendationUpdated
    from storefront.lists import ListChange
    from storefront.products import ProductTable

_POLL_MS = 250


class ListKind(StrEnum):
    """The kinds of list, as the command line takes them."""

    similar = "similar"
    viewed_next = "viewed-next"
    bought_together = "bought-together"
    for_you = "for-you"
    trending = "trending"
    popular = "popular"
    complete_the_look = "complete-the-look"


def watch(
    kind: Annotated[ListKind | None, typer.Option(help="only lists of this kind")] = None,
    subject: Annotated[
        str | None, typer.Option(help="only lists of this product, user, session or category")
    ] = None,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="first what is there already, then what changes")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a line")] = False,
) -> None:
    """Follow every list that changes, live: what entered, left and moved, how fresh it is, and what caused it.

    [bold]recsys watch --kind for-you[/bold] follows the shoppers' own lists; Ctrl-C ends it.
    """
    from rich.console import Console

    from cli.watching import change_json, change_line

    notes = Console(stderr=True)
    lines = Console(highlight=False)
    try:
        for change, products, seen_at_ms in _changes(kind, subject, from_beginning, notes.print):
            if as_json:
                sys.stdout.write(json.dumps(change_json(change, seen_at_ms), ensure_ascii=False) + "\n")
                sys.stdout.flush()
            else:
                line = change_line(change, products, seen_at_ms)
                fits = lines.is_terminal
                lines.print(line, no_wrap=True, overflow="ellipsis" if fits else "ignore", crop=fits)
    except KeyboardInterrupt:
        return


def show(
    kind: Annotated[ListKind, typer.Argument(help="which kind of list")],
    subject: Annotated[
        str, typer.Argument(help="a product, user, session, category or segment; none: the whole shop")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="print the list as JSON")] = False,
) -> None:
    """Print one list as it is now, with scores and reasons, or say why there is none.

    [bold]recsys show similar P123[/bold], [bold]recsys show trending[/bold]
    """
    from rich.console import Console

    from cli.absence import NoListError, explain, read_facts
    from cli.watching import list_json, list_table
    from consumers.configuration import load

    settings = load().kafka
    found, products = read_list(kind.value, subject)
    if found is None:
        raise NoListError(explain(kind.value, subject, read_facts(kind.value, subject, settings)))
    if as_json:
        sys.stdout.write(json.dumps(list_json(found, products), ensure_ascii=False, indent=2) + "\n")
    else:
        Console().print(list_table(found, products))


def _changes(
    kind: ListKind | None, subject: str | None, from_beginning: bool, note: Callable[[str], object]
) -> Iterator[tuple[ListChange, ProductTable, int]]:
    """Yield (change, products, when it was seen in ms) for ever; reads in silence what is not asked for."""
    from consumers.configuration import load
    from schemas.topics import PRODUCT_CREATED, RECOMMENDATION_UPDATED
    from storefront.following import TopicFollower
    from storefront.lists import ListTable
    from storefront.products import ProductTable

    def wanted(key: str) -> bool:
        of_kind, _, of_subject = key.partition(":")
        return (kind is None or of_kind == kind.value) and (subject is None or of_subject == subject)

    _hush_kafka()
    settings = load().kafka
    table = ListTable(wants=wanted)
    products = ProductTable()
    with (
        TopicFollower(settings, [PRODUCT_CREATED]) as catalogue,
        TopicFollower(settings, [RECOMMENDATION_UPDATED]) as lists,
    ):
        for records in catalogue.to_end():
            products.apply(records)
        for records in lists.to_end():
            for change in table.apply(records):
                if from_beginning:
                    yield change, products, change.published_at_ms
        note(f"[dim]{len(table)} lists of {len(products)} products; following what changes, Ctrl-C ends[/dim]")
        while True:
            records = lists.poll(_POLL_MS)
            seen_at_ms = time.time_ns() // 1_000_000
            products.apply(catalogue.poll(1))
            for change in table.apply(records):
                yield change, products, seen_at_ms


def read_list(kind: str, subject: str) -> tuple[RecommendationUpdated | None, ProductTable]:
    """A list as it is now, None where there is none, and the products where there is one."""
    from consumers.configuration import load
    from schemas.topics import PRODUCT_CREATED, RECOMMENDATION_UPDATED
    from storefront.following import TopicFollower
    from storefront.lists import ListTable
    from storefront.products import ProductTable

    _hush_kafka()
    key = f"{kind}:{subject}"
    table = ListTable(wants=lambda other: other == key)
    products = ProductTable()
    with TopicFollower(load().kafka, [RECOMMENDATION_UPDATED]) as follower:
        for records in follower.to_end():
            table.apply(records)
    found = table.get(kind, subject)
    if found is not None:
        with TopicFollower(load().kafka, [PRODUCT_CREATED]) as follower:
            for records in follower.to_end():
                products.apply(records)
    return found, products


def _hush_kafka() -> None:
    """The client's warnings are about what it retries by itself; between the lines they would only disturb."""
    logging.getLogger("kafka").setLevel(logging.ERROR)
