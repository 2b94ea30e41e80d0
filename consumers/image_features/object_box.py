"""Where in a photo the object is: what differs from the colours along the photo's edges."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

_SIDE = 96
"""Longer side of the picture that is looked at, pixels."""
_EDGE = 3
"""Width of the edge that is taken for background, pixels."""
_COLOURS = 4
"""Colours that a background may be made of."""
_ROUNDS = 6
_CLEAR = 3.0
"""Times the background's own spread that the object must differ from it."""
_LEAST_CONTRAST = 18.0
"""The same, in steps of 256 of a colour channel."""
_SMALLEST, _LARGEST = 0.02, 0.80
"""Share of the photo that the object's box fills; otherwise the whole photo is as good."""
_PART = 0.15
"""Share of the largest part's area from which on another part belongs to the object."""
_MARGIN = 0.06
"""Share of the box's longer side that is kept around it."""

Values = NDArray[np.float32]


class Box(NamedTuple):
    """A part of a picture, as shares of its width and height from the top left."""

    left: float
    top: float
    right: float
    bottom: float


def object_box(picture: Image.Image) -> Box | None:
    """The box of what stands out from an RGB picture's edges; None where nothing does, or nearly all.

    The edge's pixels are grouped into a few colours; a pixel's distance to the nearest of them says how little it
    is background, and Otsu's threshold (IEEE Trans. SMC 9, 1979) cuts. That is the background prior of Wei et al.
    (ECCV 2012) without its geodesics: shops' customers photograph on tables, floors and walls.
    """
    scale = _SIDE / max(picture.size)
    size = (max(8, round(picture.width * scale)), max(8, round(picture.height * scale)))
    pixels = np.asarray(picture.resize(size, Image.Resampling.BOX), np.float32)
    colours, spread = _background(pixels)
    distances = ndimage.gaussian_filter(_distances(pixels.reshape(-1, 3), colours).reshape(pixels.shape[:2]), 1.0)
    threshold = _otsu(distances)
    mask = distances > max(threshold, _CLEAR * spread, _LEAST_CONTRAST)
    return _box_of(mask)


def _background(pixels: Values) -> tuple[Values, float]:
    """Colours of the edge by k-means from evenly spread darkness, and how far its pixels are from them."""
    sides = (pixels[:_EDGE], pixels[-_EDGE:], pixels[:, :_EDGE], pixels[:, -_EDGE:])
    edge = np.concatenate([side.reshape(-1, 3) for side in sides])
    ordered = edge[np.argsort(edge.sum(axis=1), kind="stable")]
    colours: Values = ordered[np.linspace(0, len(edge) - 1, _COLOURS).astype(int)]
    for _ in range(_ROUNDS):
        nearest = np.square(edge[:, None] - colours).sum(axis=2).argmin(axis=1)
        for number in range(_COLOURS):
            if (nearest == number).any():
                colours[number] = edge[nearest == number].mean(axis=0)
    usual = np.bincount(nearest, minlength=_COLOURS) >= len(edge) / (4 * _COLOURS)
    colours = colours[usual]  # the object may touch the edge somewhere
    return colours, float(np.median(_distances(edge, colours)))


def _distances(values: Values, colours: Values) -> Values:
    distances: Values = np.sqrt(np.square(values[:, None] - colours).sum(axis=2).min(axis=1))
    return distances


def _otsu(values: Values) -> float:
    """The threshold that leaves the least variance on both sides."""
    counts, edges = np.histogram(values, bins=64)
    middles = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * middles)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(edges[1:][np.nanargmax(np.where(above > 0, between, -1.0))])


def _box_of(mask: NDArray[np.bool_]) -> Box | None:
    labels, _ = ndimage.label(mask)
    areas = np.bincount(labels.ravel())[1:]
    if not len(areas):
        return None
    parts = np.flatnonzero(areas >= _PART * areas.max()) + 1
    rows, columns = np.nonzero(np.isin(labels, parts))
    height, width = mask.shape
    top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
    if not _SMALLEST <= (bottom - top) * (right - left) / (height * width) <= _LARGEST:
        return None
    margin = _MARGIN * max(bottom - top, right - left)
    return Box(
        float(max(0.0, (left - margin) / width)),
        float(max(0.0, (top - margin) / height)),
        float(min(1.0, (right + margin) / width)),
        float(min(1.0, (bottom + margin) / height)),
    )
