"""Against hubs: what all pictures have in common is taken off, and products that are near to everything step back.

In many dimensions a few products are near to very many others and stand in far more lists than the rest, while
some stand in none (Radovanović et al., JMLR 2010). Two remedies are put together. Features are centred (Suzuki et
al., EMNLP 2013), by part of the mean. And a product whose nearest neighbours are nearer than is usual loses a part
of that where it stands in lists: local scaling as in Conneau et al. (ICLR 2018), for the listed product alone and
for hubs alone, which costs no precision where correcting all products does.

How near is usual, and to what, is learnt from a sample of the catalogue and stays until it is learnt again. So a
product's vector and penalty follow from its feature alone, and lists stay what a computation from nothing gives.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from recsys.neighbours.index import Vector

CENTRING = 0.7
"""Part of the mean that is taken off. Between 0.5 and 1 precision hardly changes, and less of it leaves hubs."""
WEIGHT = 0.3
"""Part of a hub's excess nearness that it loses."""
DIRECTIONS = 32
"""Main directions along which nearness is measured; more change nothing."""
SAMPLE_PRODUCTS = 2_048
"""Products that nearness is measured to, at most."""
NEAREST_SHARE = 1 / 32
"""Share of the sample that counts as a product's neighbours."""
STEPS = 256
"""Penalties are multiples of one part in so many."""

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Correction:
    """What was learnt, from ``products`` products of one encoder.

    centre: float32 (d,). directions: float16 (d, q). sample: float16 (s, q), along the directions. usual: the
    median nearness.
    """

    products: int
    centre: NDArray[np.float32]
    directions: NDArray[np.float16]
    sample: NDArray[np.float16]
    usual: float

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Correction):
            return NotImplemented
        return (self.products, self.usual) == (other.products, other.usual) and all(
            np.array_equal(getattr(self, name), getattr(other, name))
            for name in ("centre", "directions", "sample")
        )

    __hash__ = None  # type: ignore[assignment]  # it holds arrays

    @property
    def dimensions(self) -> int:
        """Length of the features that it is for."""
        return len(self.centre)

    def __call__(self, features: Vector) -> tuple[Vector, Doubles]:
        """Centred unit vectors, float16 (n, d), and penalties (n,), of features float16 (n, d).

        Each is the same number whatever it is computed together with.
        """
        vectors = self.centred(features)
        excess = np.maximum(self._nearness(vectors) - self.usual, 0.0)
        return vectors, np.minimum(np.rint(WEIGHT * excess * STEPS) / STEPS, 1.0)

    def centred(self, features: Vector) -> Vector:
        """The vectors alone."""
        moved = features.astype(np.float32) - self.centre
        lengths = np.sqrt(np.square(moved, dtype=np.float64).sum(axis=1, keepdims=True))
        vectors: Vector = (moved / np.maximum(lengths, np.finfo(np.float32).tiny)).astype(np.float16)
        return vectors

    def _nearness(self, vectors: Vector) -> Doubles:
        return _nearness(_along(vectors, self.directions), self.sample)


def learn_correction(features: Mapping[str, Vector]) -> Correction:
    """From the features of all products, by id; it depends on them alone, not on their order."""
    ids = _sampled(features)
    rows = np.stack([features[product_id] for product_id in ids])
    centre = (CENTRING * rows.astype(np.float64).mean(axis=0)).astype(np.float32)
    empty = np.empty((0, 0), np.float16)
    vectors = Correction(len(features), centre, empty, empty, 0.0).centred(rows)
    wide = vectors.astype(np.float64)
    first = max(0, wide.shape[1] - DIRECTIONS)
    directions = eigh(wide.T @ wide, subset_by_index=(first, wide.shape[1] - 1))[1].astype(np.float16)
    sample = _along(vectors, directions)
    usual = float(np.median(_nearness(sample, sample)))
    return Correction(len(features), centre, directions, sample, usual)


def _sampled(ids: Iterable[str]) -> list[str]:
    """Any so many, always the same of the same products."""
    return sorted(ids, key=lambda an_id: hashlib.blake2b(an_id.encode(), digest_size=8).digest())[:SAMPLE_PRODUCTS]


def _along(vectors: Vector, directions: NDArray[np.float16]) -> NDArray[np.float16]:
    """Products of float16 numbers are exact in float64, whatever the order in which they are summed."""
    along: NDArray[np.float16] = (vectors.astype(np.float64) @ directions.astype(np.float64)).astype(np.float16)
    return along


def _nearness(along: NDArray[np.float16], sample: NDArray[np.float16]) -> Doubles:
    """Mean dot product with the nearest of the sample, the very nearest left out: it may be the product itself."""
    count = max(1, round(NEAREST_SHARE * len(sample)))
    dots = along.astype(np.float64) @ sample.astype(np.float64).T
    last = max(0, dots.shape[1] - count - 1)
    nearest = np.sort(np.partition(dots, last, axis=1)[:, last:], axis=1)[:, :-1]
    if not nearest.shape[1]:
        return np.zeros(len(along))
    means: Doubles = nearest.mean(axis=1)
    return means
