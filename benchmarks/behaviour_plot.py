"""What ``bench behaviour`` measured, drawn: a panel a figure, a bar a size, and a line for the aim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

_WIDTH, _LABELS, _BARS, _ROW, _HEADING = 860, 190, 520, 22, 44
_TEXT = 'font-family="system-ui, sans-serif" fill="currentColor"'


class _Panel(NamedTuple):
    title: str
    values: Sequence[float]
    aim: float


def drawn(sizes: Sequence[Mapping[str, Any]]) -> str:
    """The figures of some sizes, as ``bench_behaviour`` gives them, as an SVG."""
    labels = [f"{size['users']:,} × {size['items']:,} × {size['history']}" for size in sizes]
    panels = [
        _Panel("learn, µs of CPU an event", [size["learn_us_per_event"] for size in sizes], 100.0),
        _Panel("list, ms of CPU, median", [size["recommend_ms"]["p50"] for size in sizes], 2.0),
        _Panel("list, ms of CPU, 99th percentile", [size["recommend_ms"]["p99"] for size in sizes], 2.0),
        _Panel("bytes a shopper", [size["bytes_per_user"] for size in sizes], 1_000.0),
        _Panel("bytes a product", [size["bytes_per_item"] for size in sizes], 4_000.0),
    ]
    height = _HEADING + _ROW * len(sizes)
    parts = [line for number, panel in enumerate(panels) for line in _panel(panel, labels, number * height)]
    box = f'viewBox="0 0 {_WIDTH} {height * len(panels) + 30}"'
    foot = _text(8, height * len(panels) + 18, "shoppers × products × events of each; the line is the aim")
    return f'<svg xmlns="http://www.w3.org/2000/svg" {box}>\n' + "\n".join([*parts, foot, "</svg>\n"])


def _panel(panel: _Panel, labels: Sequence[str], top: int) -> list[str]:
    scale = _BARS / max(*panel.values, panel.aim)
    lines = [_text(8, top + 30, panel.title, 'font-size="15" font-weight="600"')]
    for row, (label, value) in enumerate(zip(labels, panel.values, strict=True)):
        y = top + _HEADING + row * _ROW
        colour = "#2a9d6f" if value <= panel.aim else "#d1603d"
        lines += [
            _text(_LABELS - 8, y + 11, label, 'font-size="12" text-anchor="end"'),
            f'<rect x="{_LABELS}" y="{y}" width="{value * scale:.1f}" height="14" rx="2" fill="{colour}"/>',
            _text(_LABELS + value * scale + 6, y + 11, f"{value:,}"),
        ]
    x, bottom = _LABELS + panel.aim * scale, top + _HEADING + len(labels) * _ROW - 6
    lines.append(
        f'<path d="M{x:.1f} {top + _HEADING - 4}V{bottom}" stroke="currentColor" stroke-dasharray="3 3"/>'
    )
    return lines


def _text(x: float, y: float, text: str, style: str = 'font-size="12"') -> str:
    return f'<text x="{x:.1f}" y="{y}" {_TEXT} {style}>{escape(text)}</text>'
