"""Colours, patterns and materials: what a product looks like apart from its shape."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image, ImageChops, ImageDraw

from producers.rendered_catalogue.canvas import Colour
from producers.rendered_catalogue.outlines import ellipse

COLOURS: dict[str, Colour] = {
    "terracotta": (196, 98, 68),
    "ochre": (214, 158, 52),
    "sage": (150, 172, 138),
    "forest": (46, 92, 70),
    "navy": (42, 60, 104),
    "sky": (128, 178, 214),
    "teal": (30, 128, 132),
    "plum": (112, 56, 98),
    "blush": (236, 156, 164),
    "crimson": (178, 42, 58),
    "charcoal": (56, 57, 63),
    "sand": (212, 190, 156),
    "ivory": (240, 232, 214),
    "lilac": (172, 152, 204),
}
"""Named colours that a person tells apart."""

INKS: dict[str, tuple[str, ...]] = {
    "terracotta": ("ivory", "navy"),
    "ochre": ("ivory", "charcoal"),
    "sage": ("ivory", "forest"),
    "forest": ("ivory", "ochre"),
    "navy": ("ivory", "sky"),
    "sky": ("ivory", "navy"),
    "teal": ("ivory", "ochre"),
    "plum": ("blush", "ivory"),
    "blush": ("ivory", "crimson"),
    "crimson": ("ivory", "blush"),
    "charcoal": ("ivory", "sky"),
    "sand": ("terracotta", "ivory"),
    "ivory": ("navy", "terracotta"),
    "lilac": ("ivory", "plum"),
}
"""What each colour is patterned with."""

WOOD: Colour = (186, 138, 92)
DARK_WOOD: Colour = (112, 76, 52)
BRASS: Colour = (204, 168, 96)
STEEL: Colour = (176, 180, 186)
WHITE: Colour = (250, 248, 244)
INK: Colour = (48, 48, 54)


@dataclass(frozen=True, slots=True)
class Look:
    """How one product looks: the patterned surface, its two colours, and a variant of the shape."""

    surface: Image.Image
    colour: Colour
    ink: Colour
    variant: int


def mixed(first: Colour, second: Colour, share: float) -> Colour:
    """A colour between two; ``share`` is how much of the second."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def darker(colour: Colour, share: float = 0.3) -> Colour:
    """The colour in shade."""
    return mixed(colour, (20, 18, 24), share)


def lighter(colour: Colour, share: float = 0.3) -> Colour:
    """The colour in light."""
    return mixed(colour, (255, 252, 246), share)


def textured(pattern: str, colour: Colour, ink: Colour, side_px: int) -> Image.Image:
    """A square of the patterned material."""
    ground = Image.new("RGB", (side_px, side_px), colour)
    if pattern == "plain":
        return ground
    return Image.composite(Image.new("RGB", ground.size, ink), ground, _pattern(pattern, side_px))


@lru_cache(maxsize=32)
def _pattern(pattern: str, side_px: int) -> Image.Image:
    """Where the ink is, 0 to 255."""
    ink = Image.new("L", (side_px, side_px))
    _DRAWN[pattern](ink, side_px / 100)
    return ink


def _stripes(ink: Image.Image, unit: float) -> None:
    drawing = ImageDraw.Draw(ink)
    for i in range(15):
        drawing.rectangle((0, i * 7 * unit, ink.width, (i * 7 + 3.2) * unit), fill=255)


def _dots(ink: Image.Image, unit: float) -> None:
    drawing = ImageDraw.Draw(ink)
    for row in range(17):
        for column in range(-1, 15):
            x, y, r = (column * 7.4 + row % 2 * 3.7) * unit, row * 6.4 * unit, 1.75 * unit
            drawing.ellipse((x - r, y - r, x + r, y + r), fill=255)


def _checks(ink: Image.Image, unit: float) -> None:
    """Gingham: bands that cross are strongest where they meet."""
    bands = Image.new("L", ink.size)
    drawing = ImageDraw.Draw(bands)
    for i in range(11):
        drawing.rectangle((i * 9.6 * unit, 0, (i * 9.6 + 4.8) * unit, ink.height), fill=128)
    ink.paste(ImageChops.add(bands, bands.transpose(Image.Transpose.ROTATE_90)))


def _zigzag(ink: Image.Image, unit: float) -> None:
    drawing = ImageDraw.Draw(ink)
    for row in range(-1, 13):
        points = [(i * 5 * unit, (row * 9 + i % 2 * 5.5) * unit) for i in range(-1, 22)]
        drawing.line(points, fill=255, width=round(2.8 * unit), joint="curve")


def _fade(ink: Image.Image, unit: float) -> None:
    ramp = Image.linear_gradient("L").point(lambda value: max(0, min(255, round((value - 70) * 2.1))))
    ink.paste(ramp.resize(ink.size, Image.Resampling.BILINEAR))


def _flowers(ink: Image.Image, unit: float) -> None:
    drawing = ImageDraw.Draw(ink)
    for row in range(9):
        for column in range(-1, 9):
            x, y = column * 13.0 + row % 2 * 6.5, row * 11.5 + 3
            for petal in range(5):
                angle = math.radians(petal * 72 + row * 40 + column * 17)
                outline = ellipse(x + 2.0 * math.cos(angle), y + 2.0 * math.sin(angle), 1.45, 1.45)
                drawing.polygon([(px * unit, py * unit) for px, py in outline], fill=255)
            drawing.polygon([(px * unit, py * unit) for px, py in ellipse(x, y, 0.9, 0.9)], fill=0)


_DRAWN: dict[str, Callable[[Image.Image, float], None]] = {
    "striped": _stripes,
    "dotted": _dots,
    "checked": _checks,
    "zigzag": _zigzag,
    "ombré": _fade,
    "floral": _flowers,
}

PATTERNS = ("plain", *_DRAWN)
