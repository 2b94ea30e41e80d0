"""The screen of the demo, drawn from a ``Snapshot``: what shoppers do, and how their lists follow."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from cli.live_model import FeedRow, Focus, Snapshot, StageRow
from cli.watching import KIND_STYLES, change_text, clock_text, products_text
from producers.clickstream import ShopperEvent
from schemas.events import CartAdd, Kind, Purchase
from storefront.wording import Name, duration_text, list_name, printable, reason_text

_BLOCKS = "▁▂▃▄▅▆▇█"
_SHORT_KINDS = {Kind.VIEWED_NEXT: "next", Kind.BOUGHT_TOGETHER: "together", Kind.COMPLETE_THE_LOOK: "look"}
_TOP_ROWS = 9
_WIDE = 100
_TALL = 32
_FRESH_MS, _SLOW_MS = 200.0, 1_000.0
_STATE_STYLES = {"ready": "green", "starting": "yellow", "restarting": "yellow", "failed": "red", "stopped": "dim"}


def render(
    snapshot: Snapshot, name: Name, size: tuple[int, int], *, headline: str = "", hint: str = ""
) -> RenderableType:
    """The whole screen for ``size`` (columns, rows); ``name`` calls products by their titles."""
    width, height = size
    focus_rows = 10 if height >= _TALL else 4
    screen = Layout()
    screen.split_column(
        Layout(_title(snapshot, headline), size=1),
        Layout(name="top", size=_TOP_ROWS),
        Layout(_focus_panel(snapshot.focus, name, focus_rows - 2), size=focus_rows),
        Layout(_feed_panel(snapshot.feed, name, width, height - _TOP_ROWS - focus_rows - 4)),
        Layout(Text(hint, "dim", no_wrap=True, overflow="ellipsis"), size=1),
    )
    stages = 46 if width >= _WIDE else 36
    screen["top"].split_row(
        Layout(_numbers_panel(snapshot, width - stages)), Layout(_stages_panel(snapshot.stages), size=stages)
    )
    return screen


def sparkline(series: Sequence[float], cells: int) -> str:
    """The last ``cells`` values as blocks, scaled to the largest of them; a blank stands for 0."""
    shown = list(series)[-cells:] if cells > 0 else []
    top = max(shown, default=0.0)
    if top <= 0:
        return " " * len(shown)
    return "".join(_BLOCKS[min(int(v / top * len(_BLOCKS)), len(_BLOCKS) - 1)] if v > 0 else " " for v in shown)


def action_text(event: ShopperEvent, name: Name) -> Text:
    """What a shopper did, such as ``viewed Red mug``."""
    if isinstance(event, Purchase):
        return Text.assemble(("bought ", "bold magenta"), name(event.product_id))
    if isinstance(event, CartAdd):
        return Text.assemble(("put into the cart ", "magenta"), name(event.product_id))
    return Text.assemble(("viewed ", "dim"), name(event.product_id))


def _panel(content: RenderableType, title: str, style: str = "bright_black") -> Panel:
    return Panel(content, title=f"[b]{title}[/b]", title_align="left", border_style=style, box=box.ROUNDED)


def _title(snapshot: Snapshot, headline: str) -> RenderableType:
    row = Table.grid(expand=True)
    row.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    row.add_column(justify="right", no_wrap=True)
    minutes, seconds = divmod(int(snapshot.elapsed_seconds), 60)
    left = Text.assemble((" recsys ", "bold white on blue"), "  ", (headline, "bold"))
    row.add_row(left, Text(f"{minutes:02d}:{seconds:02d} ", "dim"))
    return row


def _numbers_panel(snapshot: Snapshot, width: int) -> Panel:
    cells = max(width - 33, 4)
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(no_wrap=True, ratio=1)
    events = sparkline(snapshot.event_rates, cells)
    grid.add_row("events", f"{snapshot.events:,}", f"{snapshot.events_per_second:.0f}/s", Text(events, "blue"))
    rate = f"{snapshot.changes_per_second:.0f}/s"
    grid.add_row("lists changed", f"{snapshot.list_changes:,}", rate, Text(""))
    fresh = Text(sparkline(snapshot.freshness_by_second_ms, cells), "green")
    grid.add_row("freshness p50", _freshness(snapshot.freshness_p50_ms), "", fresh)
    grid.add_row("          p99", _freshness(snapshot.freshness_p99_ms), "", "")
    refused = Text(f"{snapshot.dead_letters:,}", "bold red" if snapshot.dead_letters else "green")
    grid.add_row("dead letters", refused, "", "")
    letter = snapshot.last_dead_letter
    if letter is None:
        return _panel(Group(grid, _kinds(snapshot, short=width < _WIDE // 2)), "now")
    reason = Text(printable(f"{letter.stage}: {letter.reason}"), "red", no_wrap=True, overflow="ellipsis")
    kinds = _kinds(snapshot, short=True)
    kinds.no_wrap, kinds.overflow = True, "ellipsis"
    return _panel(Group(grid, reason, kinds), "now")


def _kinds(snapshot: Snapshot, *, short: bool) -> Text:
    """How many lists stand, by kind."""
    parts = [
        Text.assemble((f"{count:,} ", KIND_STYLES[kind]), (_SHORT_KINDS.get(kind, kind) if short else kind, "dim"))
        for kind, count in snapshot.lists_by_kind.items()
        if count
    ]
    if not parts:
        return Text("no lists yet", "dim")
    if short:
        return Text("  ").join(parts)
    total = Text(f"{sum(snapshot.lists_by_kind.values()):,} lists: ")
    return total.append_text(Text.assemble((" · ", "dim")).join(parts))


def _freshness(value_ms: float | None) -> Text:
    if value_ms is None:
        return Text("–", "dim")
    style = "bold green" if value_ms <= _FRESH_MS else "yellow" if value_ms <= _SLOW_MS else "red"
    return Text(duration_text(value_ms), style)


def _stages_panel(stages: Sequence[StageRow]) -> Panel:
    table = Table(box=None, expand=True, pad_edge=False, header_style="dim", padding=(0, 1, 0, 0))
    table.add_column("stage", no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column("per s", justify="right", no_wrap=True)
    table.add_column("lag", justify="right", no_wrap=True)
    for stage in stages:
        label = Text.assemble(("● ", _STATE_STYLES.get(stage.state, "dim")), stage.name)
        if stage.restarts:
            label.append(f" ↻{stage.restarts}", "yellow")
        if stage.state != "ready":
            label.append(f" {stage.state}", "dim")
        lag = "–" if stage.lag is None else f"{stage.lag:,}"
        table.add_row(label, f"{stage.events_per_second:,.0f}", Text(lag, "yellow" if stage.lag else "dim"))
    return _panel(table, "stages")


def _focus_panel(focus: Focus | None, name: Name, rows: int) -> Panel:
    if focus is None:
        return _panel(Text("waiting for the first shopper …", "dim"), "a shopper")
    actions = Text(no_wrap=True, overflow="ellipsis")
    for number, event in enumerate(focus.actions):
        actions.append("  ← " if number else "", "dim").append_text(action_text(event, name))
    lines: list[RenderableType] = [actions]
    change = focus.change
    if change is None or change.after is None:
        lines.append(Text("no list yet", "dim"))
    elif rows <= 2:
        line = Text.assemble(("for you ", "green"), no_wrap=True, overflow="ellipsis")
        lines.append(line.append_text(_changed(focus)).append(" ").append_text(products_text(change, name, 2)))
    else:
        lines.append(Text.assemble(("for you ", "green")).append_text(_changed(focus)))
        lines.append(_ranked(focus, name, rows - 2))
    guest = bool(focus.actions) and focus.actions[0].user_id is None
    return _panel(Group(*lines), f"following {'a guest' if guest else printable(focus.subject)}", "green")


def _changed(focus: Focus) -> Text:
    assert focus.change is not None
    text = change_text(focus.change)
    return text if focus.freshness_ms is None else text.append(f" {duration_text(focus.freshness_ms)}", "bold")


def _ranked(focus: Focus, name: Name, rows: int) -> Table:
    assert focus.change is not None
    assert focus.change.after is not None
    entered = set(focus.change.entered)
    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(justify="right", style="dim", no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1, style="dim")
    for rank, item in enumerate(focus.change.after.items[:rows], start=1):
        style = "bold green" if item.product_id in entered else ""
        table.add_row(str(rank), Text(name(item.product_id), style), Text(reason_text(item, name)))
    return table


def _feed_panel(feed: Sequence[FeedRow], name: Name, width: int, rows: int) -> Panel:
    wide = width >= _WIDE
    table = Table.grid(padding=(0, 1), expand=True)
    if wide:
        table.add_column(style="dim", no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=2)
    table.add_column(no_wrap=True, width=9)
    table.add_column(no_wrap=True, justify="right", width=6)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=3)
    for row in feed[: max(rows, 0)]:
        change = row.change
        fresh = "" if change.after is None else duration_text(max(row.seen_at_ms - change.after.caused_at_ms, 0))
        cells = [
            Text(list_name(change.kind, change.subject, name), KIND_STYLES.get(change.kind, "")),
            change_text(change),
            Text(fresh, "dim"),
            products_text(change, name, 3 if wide else 1),
        ]
        table.add_row(*([Text(clock_text(row.seen_at_ms)[:8])] if wide else []), *cells)
    return _panel(table, "lists changing", "cyan")
