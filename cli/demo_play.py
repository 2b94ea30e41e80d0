"""The two ways to play a demo: one bounded round with an account, or live until somebody stops it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.live import Live

from cli.accounting import report
from cli.demo_round import Round
from cli.live_view import render
from storefront.wording import duration_text

# A round may take so long, and so much longer for every product and event, before it counts as stuck.
_STEP_SECONDS = 120.0
_SECONDS_A_PRODUCT = 0.1
_SECONDS_AN_EVENT = 0.05

_REFRESH_SECONDS = 0.25
_LINE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Played:
    """The account of a round as it is printed, and how much was lost."""

    printed: dict[str, Any]
    lost: int


def play_once(round_: Round, stages: Sequence[str], rate_per_second: float, console: Console) -> Played:
    """Embed every picture, then let the shoppers do what was planned, then add up."""
    began = time.monotonic()
    number, events = len(round_.products), round_.planned_events or 0
    with console.status("embedding pictures …") as status:

        def embedding() -> None:
            status.update(f"{round_.embedded:,} of {number:,} pictures embedded")

        def playing() -> None:
            status.update(f"{round_.model.events:,} of {events:,} events published")

        unfinished = round_.settle(stages, _STEP_SECONDS + number * _SECONDS_A_PRODUCT, embedding)
        catalogue_seconds = time.monotonic() - began
        note = f"{round_.embedded:,} pictures embedded, {len(round_.lists):,} lists"
        console.print(f"[green]✓[/green] {note} [dim]({catalogue_seconds:.1f} s)[/dim]")
        if events and not unfinished:
            round_.start_shoppers()
            at_most = _STEP_SECONDS + 2 * events / rate_per_second
            round_.run_until(round_.shoppers_are_done, "publishing the events", at_most, playing)
            unfinished = round_.settle(stages, _STEP_SECONDS + events * _SECONDS_AN_EVENT, playing)
    account = round_.account(unfinished)
    printed = report(
        account,
        round_.lists.counts,
        round_.freshness_ms,
        list_changes_by_kind=dict(round_.list_changes),
        products_without_similar=round_.without_similar(),
        other_dead_letters=account.other_dead_letters,
        catalogue_seconds=round(catalogue_seconds, 1),
        seconds=round(time.monotonic() - began, 1),
    )
    return Played(printed, account.lost)


def play_live(round_: Round, console: Console, headline: str, hint: str) -> None:
    """Let shoppers in and show what happens, until Ctrl-C or the last event."""
    round_.start_shoppers()
    try:
        if console.is_terminal:
            _show_screen(round_, console, headline, hint)
        else:
            _print_lines(round_, console)
    finally:
        console.print(summary(round_))


def summary(round_: Round) -> str:
    """What has happened so far, in one line."""
    shown = round_.snapshot()
    parts = [f"{shown.events:,} events", f"{shown.list_changes:,} list changes"]
    if shown.freshness_p50_ms is not None and shown.freshness_p99_ms is not None:
        p50, p99 = duration_text(shown.freshness_p50_ms), duration_text(shown.freshness_p99_ms)
        parts.append(f"shoppers' own lists after {p50} (p99 {p99})")
    parts.append(f"{shown.dead_letters:,} dead letters")
    minutes, seconds = divmod(int(shown.elapsed_seconds), 60)
    return f"{minutes:02d}:{seconds:02d}  " + ", ".join(parts)


def _show_screen(round_: Round, console: Console, headline: str, hint: str) -> None:
    with Live(console=console, screen=True, auto_refresh=False) as live:
        drawn_at = 0.0
        while not round_.shoppers_are_done():
            round_.step()
            if time.monotonic() - drawn_at < _REFRESH_SECONDS:
                continue
            drawn_at = time.monotonic()
            embedding = f" · {round_.to_embed:,} pictures to embed" if round_.to_embed else ""
            size = (console.size.width, console.size.height)
            screen = render(round_.snapshot(), round_.name, size, headline=headline + embedding, hint=hint)
            live.update(screen, refresh=True)


def _print_lines(round_: Round, console: Console) -> None:
    printed_at = time.monotonic()
    while not round_.shoppers_are_done():
        round_.step()
        if time.monotonic() - printed_at >= _LINE_SECONDS:
            printed_at = time.monotonic()
            console.print(summary(round_))
