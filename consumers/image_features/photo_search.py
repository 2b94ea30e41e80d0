"""Search by a customer's photo: decode it safely, find the object, embed it, and look up the nearest products."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image

from consumers.image_features.cleaning import Pixels, comparable_id, square_of, whole_picture
from consumers.image_features.encoder import Encoder
from consumers.image_features.object_box import Box, object_box
from consumers.image_features.settings import ImageLimits
from recsys.neighbours import Neighbour
from recsys.neighbours.by_encoder import Feature

PHOTO_LIMITS = ImageLimits(max_bytes=10_000_000, max_pixels=25_000_000)
"""What a customer may send: what today's telephones make, and no more, for anybody can send it."""

NearestProducts = Callable[[Feature, int, str | None], list[Neighbour]]
"""(feature, count, category or None) -> products, best first; such as ``FeatureSearch.search``."""


class PhotoMatches(NamedTuple):
    """Products that look like the photo, best first, and the part of it that was looked at; None for all of it."""

    products: list[Neighbour]
    box: Box | None


class PhotoSearch:
    """Answers photos; may be shared between threads, which then take turns.

    ``encoder`` has to be the one that made the features which ``nearest`` searches.
    """

    def __init__(self, encoder: Encoder, nearest: NearestProducts, limits: ImageLimits = PHOTO_LIMITS) -> None:
        self._encoder = encoder
        self._nearest = nearest
        self._limits = limits
        self._encoder_id = comparable_id(encoder.encoder_id, encoder.side)
        self._one_at_a_time = threading.Lock()

    def search(self, data: bytes, count: int = 20, category: str | None = None) -> PhotoMatches:
        """The ``count`` nearest products, of one category or of all, for the bytes of a picture file.

        Raises an ``ImageError`` that says what is wrong with the picture. Changes nothing.
        """
        feature, box = self.embed(data)
        with self._one_at_a_time:
            return PhotoMatches(self._nearest(feature, count, category), box)

    def embed(self, data: bytes) -> tuple[Feature, Box | None]:
        """The feature of the photo's object, or of the whole photo where none stands out."""
        picture = whole_picture(data, self._limits, self._encoder.side)
        box = object_box(picture)
        pixels = _square_around(picture, box or Box(0.0, 0.0, 1.0, 1.0), self._encoder.side)
        with self._one_at_a_time:
            (row,) = self._encoder.embed(pixels[None])
        return Feature(self._encoder_id, row.astype(np.float16)), box


def _square_around(picture: Image.Image, box: Box, pixels: int) -> Pixels:
    """The square that holds the box where the picture has room for it, else the largest that it has."""
    width, height = picture.size
    side = min(max((box.right - box.left) * width, (box.bottom - box.top) * height), width, height)
    left = min(max(0.0, ((box.left + box.right) * width - side) / 2), width - side)
    top = min(max(0.0, ((box.top + box.bottom) * height - side) / 2), height - side)
    return square_of(picture, (left, top, left + side, top + side), pixels)
