"""Pictures to vectors as they are published, each picture once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from consumers.image_features.cleaning import Pixels, comparable_id
from consumers.image_features.encoder import Encoder
from consumers.image_features.pipeline import Fetched


class Embedded(NamedTuple):
    """Vectors by the digest of the picture, and how many pictures went through the encoder."""

    vectors: dict[bytes, bytes]
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


def _at(pixels: Pixels, side: int) -> Pixels:
    """The picture at the side that the encoder takes, where it was cleaned for another encoder."""
    if len(pixels) == side:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC))
