"""What surrounds a product in its picture: uniform borders, near-white ground, and pictures of nothing else."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SEEN = 128
"""Longer side of the reduced picture that is looked at, pixels."""
SEEN_LEAST = 8
"""Its shorter side, at the least."""
_NEAR = 14
"""How far in a colour channel a pixel may be from the background's colour; JPEG's noise is less."""
_STRAY = 0.015
"""Share of a line's pixels that may differ."""
_LEAST_TRIM = 0.04
"""Share of a side below which trimming is not worth while."""
_MARGIN = 0.03
"""Share of the object's longer side that is left around it."""
_WHITISH = 225
"""Channel value from which a background counts as white that was not exposed enough."""
_STRAY_PIXELS = 0.005
"""Share of a picture's lightest pixels, and of its darkest, that are not looked at."""
_FLAT = 6
"""Difference of the lightest and the darkest of nearly all pixels below which a picture shows nothing."""


class Surroundings(NamedTuple):
    """``box``: the part without borders, as shares from the left, top, right and bottom; ``colour``: theirs."""

    box: tuple[float, float, float, float]
    colour: tuple[int, int, int]

    @property
    def whitish(self) -> bool:
        """Near white, all channels alike."""
        return min(self.colour) >= _WHITISH and max(self.colour) - min(self.colour) <= _NEAR


def shows_nothing(picture: Image.Image) -> bool:
    """True for an RGB picture that is all of about one colour."""
    of_value = np.array(_reduced(picture).histogram()).reshape(3, 256)  # in C, without holding the interpreter
    values = of_value.cumsum(axis=1)
    strays = _STRAY_PIXELS * values[0, -1]
    low, high = (values <= strays).sum(axis=1), (values < values[0, -1] - strays).sum(axis=1)
    return bool((high - low).max() < _FLAT)


def surroundings(picture: Image.Image) -> Surroundings | None:
    """The uniform borders of an RGB picture; None where its corners differ, or there is next to nothing to trim.

    A line of pixels from an edge inwards is border while nearly all of them have the corners' colour.
    """
    pixels = np.asarray(_reduced(picture)).astype(np.int16)
    corners = pixels[[0, 0, -1, -1], [0, -1, 0, -1]]
    if np.ptp(corners, axis=0).max() > 2 * _NEAR:
        return None
    colour = np.median(corners, axis=0)
    differs = np.abs(pixels - colour).max(axis=2) > _NEAR
    rows, columns = (_first_and_last(differs.mean(axis=axis) > _STRAY) for axis in (1, 0))
    if rows is None or columns is None:
        return None
    height, width = differs.shape
    box = (columns[0] / width, rows[0] / height, columns[1] / width, rows[1] / height)
    trimmed = max(1 - (box[2] - box[0]), 1 - (box[3] - box[1]))
    red, green, blue = colour.astype(int).tolist()
    return Surroundings(box, (red, green, blue)) if trimmed >= _LEAST_TRIM else None


def square_around(size: tuple[int, int], box: tuple[float, float, float, float]) -> tuple[int, int, int, int]:
    """The square in pixels that holds the box with a margin; it may reach beyond the picture."""
    width, height = size
    left, top, right, bottom = box[0] * width, box[1] * height, box[2] * width, box[3] * height
    side = max(1, round((1 + 2 * _MARGIN) * max(right - left, bottom - top)))
    corner_x, corner_y = round((left + right - side) / 2), round((top + bottom - side) / 2)
    return corner_x, corner_y, corner_x + side, corner_y + side


def _reduced(picture: Image.Image) -> Image.Image:
    scale = min(1.0, SEEN / max(picture.size))
    width, height = (min(length, max(SEEN_LEAST, round(length * scale))) for length in picture.size)
    return picture.resize((width, height), Image.Resampling.BOX)


def _first_and_last(differs: NDArray[np.bool_]) -> tuple[int, int] | None:
    places = np.flatnonzero(differs)
    return (int(places[0]), int(places[-1]) + 1) if len(places) else None
