"""First vectors of items that nobody has visited yet: the same for an id wherever and whenever it is seen."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from recsys.factors.solving import Vectors

_SCALE = 0.1


def initial_vectors(ids: Sequence[str], factors: int) -> Vectors:
    """Small vectors that look random, float64, shape (ids, factors): from splitmix64 of a hash of the id."""
    seeds = np.frombuffer(
        b"".join(blake2b(an_id.encode(errors="surrogatepass"), digest_size=8).digest() for an_id in ids), "<u8"
    )
    mixed = seeds[:, None] + np.arange(1, factors + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ mixed >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ mixed >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    # Uniform numbers of variance one.
    scaled: Vectors = (mixed.astype(np.float64) / 2.0**64 - 0.5) * (_SCALE * np.sqrt(12.0))
    return scaled
