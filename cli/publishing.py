"""What the publishing commands share: a progress bar, the list of rejected rows, and the report at the end."""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import typer

from schemas.errors import ConfigurationError

if TYPE_CHECKING:
    from producers.client import ShopEvents
    from producers.pacing import Pacer
    from producers.publications import ShopEvent
    from producers.replay import ReplayReport
    from producers.tables import AcceptedRow, RejectedRow

SHOWN_REJECTIONS = 20
STATUS_REJECTED = 3
"""Exit status when rows were rejected and all others went through."""

_REFRESH_SECONDS = 0.1
_MAX_BLOCK_MS = 15_000
_CONNECT_TIMEOUT_MS = 5_000


class Source(Protocol):
    """A catalogue or a clickstream."""

    @property
    def read_fraction(self) -> float | None:
        """How much has been read, 0 to 1; None where that is not known."""

    def rows(self) -> Iterable[AcceptedRow[ShopEvent] | RejectedRow]:
        """Every row in order."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the commands have in common: a file for all rejected rows, and whether to report as JSON."""

    rejects: Path | None
    as_json: bool


def publish_rows(
    source: Source,
    options: Options,
    pacer: Pacer | None = None,
    on_published: Callable[[ShopEvent], None] = lambda event: None,
) -> None:
    """Publish every row of a source, show how far it is, and report.

    Raises ``typer.Exit`` with status 3 when rows were rejected.
    """
    from producers.replay import replay

    with _rejections(options.rejects) as rejections, opened_shop() as shop, _progress(source) as advance:

        def published(event: ShopEvent) -> None:
            on_published(event)
            advance()

        report = replay(source.rows(), shop, pacer=pacer, on_published=published, on_rejected=rejections.add)
    _report(report, rejections.first, options)
    if report.rejected:
        raise typer.Exit(STATUS_REJECTED)


def opened_shop() -> ShopEvents:
    """The client, connected to the Kafka that is configured."""
    import logging

    from consumers.configuration import load
    from producers.client import ShopEvents
    from producers.connection import ClientLimits

    # The client's warnings are about what it retries by itself; what matters is raised.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    return ShopEvents(
        load().kafka, limits=ClientLimits(max_block_ms=_MAX_BLOCK_MS, connect_timeout_ms=_CONNECT_TIMEOUT_MS)
    )


def note(text: str) -> None:
    """Say something to a person: on standard error, as it is."""
    from rich.console import Console

    Console(stderr=True, soft_wrap=True, highlight=False).print(text, markup=False)


class _Rejections:
    """Keeps the first rejected rows to be shown, and hands every one to ``write``."""

    def __init__(self, write: Callable[[tuple[int, str]], object]) -> None:
        self.first: list[RejectedRow] = []
        self._write = write

    def add(self, row: RejectedRow) -> None:
        if len(self.first) < SHOWN_REJECTIONS:
            self.first.append(row)
        self._write((row.line, _one_line(row.reason)))


@contextmanager
def _rejections(path: Path | None) -> Iterator[_Rejections]:
    """Takes the rejected rows; all of them go to ``path`` as CSV, when it is given."""
    if path is None:
        yield _Rejections(lambda row: None)
        return
    try:
        file = path.open("w", newline="", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise ConfigurationError(f"cannot write the rejected rows to {path}: {error.strerror}") from error
    with file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(("line", "reason"))
        yield _Rejections(lines.writerow)


@contextmanager
def _progress(source: Source) -> Iterator[Callable[[], None]]:
    """A bar on standard error; the function that is handed out is called for every row that went through."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("publishing"),
        BarColumn(),
        TaskProgressColumn(show_speed=False),
        TextColumn("{task.fields[published]:,} published, {task.fields[rate]:,.0f}/s"),
        TimeElapsedColumn(),
    )
    console = Console(stderr=True)
    count, began = 0, time.monotonic()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        known = source.read_fraction is not None
        task = bar.add_task("", total=1.0 if known else None, published=0, rate=0.0)
        shown = began

        def advance() -> None:
            nonlocal count, shown
            count += 1
            now = time.monotonic()
            if now - shown >= _REFRESH_SECONDS:
                shown = now
                completed = source.read_fraction or 0.0
                bar.update(task, completed=completed, published=count, rate=count / (now - began))

        yield advance


def _report(report: ReplayReport, rejections: list[RejectedRow], options: Options) -> None:
    for row in rejections:
        note(f"line {row.line}: {_one_line(row.reason)}")
    if report.rejected > len(rejections):
        more = report.rejected - len(rejections)
        where = f"in {options.rejects}" if options.rejects else "list all of them with --rejects FILE"
        note(f"… and {more:,} more rejected rows; {where}")
    note(f"{report.published:,} published, {report.rejected:,} rejected")
    if options.as_json:
        listed = [{"line": row.line, "reason": row.reason} for row in rejections]
        document = {"published": report.published, "rejected": report.rejected, "rejections": listed}
        sys.stdout.write(json.dumps(document) + "\n")


def _one_line(text: str) -> str:
    return text if text.isprintable() else "".join(c if c.isprintable() else "·" for c in text)
