"""Pictures to vectors as they are published, each picture once, and those of a product together."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from consumers.image_features.cleaning import Pixels, comparable_id
from consumers.image_features.encoder import Encoder
from consumers.image_features.pipeline import Fetched
from consumers.image_features.product_pictures import Digests, Pictures

_SMALLEST_LENGTH = 1e-3
"""Below it, pictures cancel each other out."""


class Embedded(NamedTuple):
    """Vectors by the digest of the picture, and how many pictures went through the encoder."""

    vectors: dict[bytes, bytes]
    new: int


class EmbeddedProducts(NamedTuple):
    """Vectors by the digests of a product's pictures, and how many pictures went through the encoder."""

    vectors: dict[Digests, bytes]
    new: int


class Embedder:
    """An encoder that remembers the pictures seen last, for a photograph that several products share."""

    def __init__(self, encoder: Encoder, remembered: int) -> None:
        self.encoder = encoder
        self.encoder_id = comparable_id(encoder.encoder_id, encoder.side)
        """Encoder and cleaning together: vectors with the same id are comparable."""
        self._limit = remembered
        self._vectors: OrderedDict[bytes, bytes] = OrderedDict()

    def embed(self, fetched: Sequence[Fetched]) -> Embedded:
        """The vectors of pictures, float16, little-endian."""
        of_digest = {picture.digest: picture.pixels for picture in fetched}
        vectors = {digest: vector for digest in of_digest if (vector := self._get(digest)) is not None}
        new = [digest for digest in of_digest if digest not in vectors]
        if new:
            pictures = np.stack([_at(of_digest[digest], self.encoder.side) for digest in new])
            rows = self.encoder.embed(pictures).astype("<f2")
            vectors.update((digest, row.tobytes()) for digest, row in zip(new, rows, strict=True))
        for digest in new:
            self.remember(digest, vectors[digest])
        return Embedded(vectors, len(new))

    def embed_products(self, products: Sequence[Pictures], main_weight: float) -> EmbeddedProducts:
        """The vectors of products; see ``combined``."""
        of_picture, new = self.embed([picture for one in products for picture in (one.main, *one.others)])
        vectors: dict[Digests, bytes] = {}
        for digests in {one.digests for one in products}:
            main, *others = (of_picture[digest] for digest in digests)
            vectors[digests] = combined(main, others, main_weight)
        return EmbeddedProducts(vectors, new)

    def remember(self, digest: bytes, vector: bytes) -> None:
        """Know a picture's vector from now on, until others take its place."""
        self._vectors[digest] = vector
        self._vectors.move_to_end(digest)
        while len(self._vectors) > self._limit:
            self._vectors.popitem(last=False)

    def _get(self, digest: bytes) -> bytes | None:
        vector = self._vectors.get(digest)
        if vector is not None:
            self._vectors.move_to_end(digest)
        return vector


def combined(main: bytes, others: Sequence[bytes], main_weight: float) -> bytes:
    """The vector of a product: its main picture's, drawn towards the mean of the others', of length 1 again.

    All are float16, little-endian; ``main_weight`` is the main one's part, from 0 to 1.
    """
    if not others:
        return main
    rows = np.stack([np.frombuffer(vector, "<f2").astype(np.float64) for vector in (main, *others)])
    vector = main_weight * rows[0] + (1 - main_weight) * rows[1:].mean(axis=0)
    length = float(np.linalg.norm(vector))
    return (vector / length).astype("<f2").tobytes() if length > _SMALLEST_LENGTH else main


def _at(pixels: Pixels, side: int) -> Pixels:
    """The picture at the side that the encoder takes, where it was cleaned for another encoder."""
    if len(pixels) == side:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC))
