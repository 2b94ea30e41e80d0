"""Outlines from curves, in units of a hundredth of the picture's side; x goes right and y goes down."""

from __future__ import annotations

import math
from collections.abc import Sequence

Point = tuple[float, float]
Outline = list[Point]

CENTRE = 50.0
"""The axis that symmetric outlines are mirrored at."""


def ellipse(cx: float, cy: float, rx: float, ry: float, start_deg: float = 0.0, end_deg: float = 360.0) -> Outline:
    """An ellipse or an arc of one; degrees go clockwise from the right."""
    steps = max(8, round(abs(end_deg - start_deg) / 4))
    angles = (math.radians(start_deg + (end_deg - start_deg) * i / steps) for i in range(steps + 1))
    return [(cx + rx * math.cos(a), cy + ry * math.sin(a)) for a in angles]


def smooth(points: Sequence[Point], *, closed: bool = False) -> Outline:
    """A uniform Catmull-Rom spline through the points (Catmull and Rom, 1974)."""
    padded = [points[-1], *points, *points[:2]] if closed else [points[0], *points, points[-1]]
    outline: Outline = []
    for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        for step in range(10):
            t = step / 10
            outline.append((_spline(a[0], b[0], c[0], d[0], t), _spline(a[1], b[1], c[1], d[1], t)))
    if not closed:
        outline.append(points[-1])
    return outline


def _spline(a: float, b: float, c: float, d: float, t: float) -> float:
    return 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t * t + (3 * b - a - 3 * c + d) * t**3)


def mirrored(right_half: Sequence[Point]) -> Outline:
    """The whole of a symmetric outline from its right half, which runs from the top to the bottom."""
    return [*right_half, *((2 * CENTRE - x, y) for x, y in reversed(right_half))]


def rounded(corners: Sequence[Point], radius: float) -> Outline:
    """A polygon whose corners are rounded by quadratic curves that begin ``radius`` before each."""
    outline: Outline = []
    for before, corner, after in zip(
        [corners[-1], *corners[:-1]], corners, [*corners[1:], corners[0]], strict=True
    ):
        start, end = _towards(corner, before, radius), _towards(corner, after, radius)
        for step in range(9):
            t = step / 8
            outline.append(
                (
                    (1 - t) ** 2 * start[0] + 2 * t * (1 - t) * corner[0] + t * t * end[0],
                    (1 - t) ** 2 * start[1] + 2 * t * (1 - t) * corner[1] + t * t * end[1],
                )
            )
    return outline


def box(left: float, top: float, right: float, bottom: float, radius: float = 0.0) -> Outline:
    """A rectangle, its corners rounded."""
    return rounded([(left, top), (right, top), (right, bottom), (left, bottom)], radius)


def _towards(corner: Point, other: Point, radius: float) -> Point:
    length = math.dist(corner, other) or 1.0
    share = min(radius / length, 0.5)
    return corner[0] + (other[0] - corner[0]) * share, corner[1] + (other[1] - corner[1]) * share


def moved(outline: Sequence[Point], dx: float, dy: float) -> Outline:
    """The outline at another place."""
    return [(x + dx, y + dy) for x, y in outline]


def turned(outline: Sequence[Point], degrees: float, about: Point = (CENTRE, CENTRE)) -> Outline:
    """The outline turned clockwise."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return [
        (
            about[0] + (x - about[0]) * cos - (y - about[1]) * sin,
            about[1] + (x - about[0]) * sin + (y - about[1]) * cos,
        )
        for x, y in outline
    ]


def ribbon(centre_line: Sequence[Point], width: float) -> Outline:
    """A band of even width along a line: handles, stems, laces."""
    left: Outline = []
    right: Outline = []
    for i, (x, y) in enumerate(centre_line):
        ahead = centre_line[min(i + 1, len(centre_line) - 1)]
        behind = centre_line[max(i - 1, 0)]
        length = math.dist(ahead, behind) or 1.0
        nx, ny = (behind[1] - ahead[1]) / length * width / 2, (ahead[0] - behind[0]) / length * width / 2
        left.append((x + nx, y + ny))
        right.append((x - nx, y - ny))
    return left + right[::-1]
