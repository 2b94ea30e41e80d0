"""A studio to draw in: a soft background, shapes with light and shadow, drawn large and reduced smoothly."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from enum import Enum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from producers.rendered_catalogue.outlines import Outline, Point

Colour = tuple[int, int, int]
Fill = Colour | Image.Image
"""One colour, or a texture as large as the canvas."""

OVERSAMPLING = 2
"""The picture is drawn this many times larger, and reduced when it is finished."""

_MASK_OVERSAMPLING = 2
"""Edges are drawn larger still."""

_COARSE = 4
"""Light and shadow are soft, so they are worked out on a picture this many times smaller."""


class Form(Enum):
    """How a shape catches the light."""

    FLAT = "flat"
    SOFT = "soft"
    ROUND = "round"


class Canvas:
    """A square picture in the making; ``side_px`` is what it will have when it is finished."""

    def __init__(self, side_px: int) -> None:
        self.side_px = side_px
        self.drawn_px = side_px * OVERSAMPLING
        self._picture = _studio(self.drawn_px).copy()

    def shape(self, outline: Outline, fill: Fill, *, form: Form = Form.SOFT, light: float = 1.0) -> None:
        """Fill an outline; ``light`` says how strong light and shade on it are."""
        mask, bounds = self._mask(outline, 0.0, lambda drawing, pixels: drawing.polygon(pixels, fill=255))
        surface = fill.crop(bounds) if isinstance(fill, Image.Image) else Image.new("RGB", mask.size, fill)
        if form is Form.SOFT:
            surface = _lit(surface, _relief(mask, self.drawn_px), light)
        elif form is Form.ROUND:
            surface = _lit(surface, _cylinder(mask.size), light)
        self._picture.paste(surface, bounds, mask)

    def line(self, points: Sequence[Point], colour: Colour, width: float, opacity: float = 1.0) -> None:
        """A line of a width in units, its ends round, for seams and laces."""
        ink = round(255 * opacity)
        width_px = max(2, round(width * self._unit * _MASK_OVERSAMPLING))

        def draw(drawing: ImageDraw.ImageDraw, pixels: Sequence[Point]) -> None:
            drawing.line(pixels, fill=ink, width=width_px, joint="curve")
            for x, y in (pixels[0], pixels[-1]):
                r = width_px / 2 - 0.5
                drawing.ellipse((x - r, y - r, x + r, y + r), fill=ink)

        mask, bounds = self._mask(points, width, draw)
        self._picture.paste(colour, bounds, mask)

    def shadow(self, outline: Outline, *, blur: float = 2.5, strength: float = 0.35) -> None:
        """Darken what an outline shades, softly; draw it before the shape that throws it."""
        dark = self._soft(outline, blur).point(lambda value: 255 - round(value * strength))
        self._picture = ImageChops.multiply(self._picture, _enlarged(dark, self._picture.size))

    def gleam(self, outline: Outline, *, blur: float = 0.8, strength: float = 0.4) -> None:
        """Lighten an outline softly: a reflection on glaze or metal."""
        light = self._soft(outline, blur).point(lambda value: round(value * strength))
        self._picture = ImageChops.screen(self._picture, _enlarged(light, self._picture.size))

    def finished(self) -> Image.Image:
        """The picture in its own size, RGB."""
        return self._picture.reduce(OVERSAMPLING)

    @property
    def _unit(self) -> float:
        return self.drawn_px / 100

    def _mask(
        self, points: Sequence[Point], margin: float, draw: Callable[[ImageDraw.ImageDraw, Sequence[Point]], None]
    ) -> tuple[Image.Image, tuple[int, int, int, int]]:
        """What ``draw`` covers, its edges smoothed, and where on the canvas that is; not more than is needed."""
        unit = self._unit
        left, top = (math.floor((min(p[axis] for p in points) - margin) * unit) for axis in (0, 1))
        right, bottom = (math.ceil((max(p[axis] for p in points) + margin) * unit) + 1 for axis in (0, 1))
        large = Image.new("L", ((right - left) * _MASK_OVERSAMPLING, (bottom - top) * _MASK_OVERSAMPLING))
        pixels = [
            ((x * unit - left) * _MASK_OVERSAMPLING, (y * unit - top) * _MASK_OVERSAMPLING) for x, y in points
        ]
        draw(ImageDraw.Draw(large), pixels)
        return large.reduce(_MASK_OVERSAMPLING), (left, top, right, bottom)

    def _soft(self, outline: Outline, blur: float) -> Image.Image:
        side = self.drawn_px // _COARSE
        mask = Image.new("L", (side, side))
        scale = side / 100
        ImageDraw.Draw(mask).polygon([(x * scale, y * scale) for x, y in outline], fill=255)
        return mask.filter(ImageFilter.GaussianBlur(blur * scale))


@lru_cache(maxsize=4)
def _studio(side_px: int) -> Image.Image:
    """A seamless paper background: warm white, a little darker towards the floor and the corners."""
    x, y = np.meshgrid(np.linspace(0, 1, 64), np.linspace(0, 1, 64))
    floor = 1 / (1 + np.exp(-(y - 0.72) * 14))
    corners = (x - 0.45) ** 2 + (y - 0.4) ** 2
    brightness: NDArray[np.float64] = 1.0 - 0.045 * floor - 0.10 * corners
    paper = np.stack([brightness * level for level in (246.0, 243.0, 238.0)], axis=-1)
    small = Image.fromarray(np.clip(paper, 0, 255).astype(np.uint8))
    return small.resize((side_px, side_px), Image.Resampling.BICUBIC)


def _relief(mask: Image.Image, side_px: int) -> NDArray[np.float64]:
    """Light on a cushion with this outline, -1 to 1: bright where it rises to the upper left."""
    width, height = (max(2, size // _COARSE) for size in mask.size)
    small = mask.resize((width, height), Image.Resampling.BOX)
    padding = round(side_px / _COARSE * 0.08)
    framed = Image.new("L", (width + 2 * padding, height + 2 * padding))
    framed.paste(small, (padding, padding))
    light = np.zeros((height, width))
    for share, weight in ((0.045, 2.2), (0.012, 0.45)):
        radius = side_px / _COARSE * share
        blurred = np.asarray(framed.filter(ImageFilter.GaussianBlur(radius)), dtype=float)
        slope = (0.6 * np.gradient(blurred, axis=1) + 0.8 * np.gradient(blurred, axis=0)) * radius / 255
        light += weight * slope[padding : padding + height, padding : padding + width]
    fall = np.linspace(0.05, -0.08, height)[:, None]
    return light + fall


def _cylinder(size: tuple[int, int]) -> NDArray[np.float64]:
    """Light on an upright cylinder, -1 to 1, from the left."""
    width, height = (max(2, length // _COARSE) for length in size)
    x = np.linspace(-1, 1, width)
    across = np.cos((x + 0.38) * 1.25) * 1.05 - 0.78 - 0.16 * np.abs(x) ** 6
    return np.tile(across, (height, 1)) + np.linspace(0.03, -0.06, height)[:, None]


def _lit(surface: Image.Image, light: NDArray[np.float64], strength: float) -> Image.Image:
    light = light * strength * 255
    # Shade saturates, as light from the studio's walls fills it.
    shade = Image.fromarray((255 - 130 * np.tanh(np.clip(-light, 0, None) / 150)).astype(np.uint8))
    gloss = Image.fromarray(np.clip(light * 0.55, 0, 150).astype(np.uint8))
    surface = ImageChops.multiply(surface, _enlarged(shade, surface.size))
    return ImageChops.screen(surface, _enlarged(gloss, surface.size))


def _enlarged(grey: Image.Image, size: tuple[int, int]) -> Image.Image:
    large = grey.resize(size, Image.Resampling.BILINEAR)
    return Image.merge("RGB", (large, large, large))
