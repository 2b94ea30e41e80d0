"""Upper bounds of cosines from few dimensions, so that most products are ruled out at a fraction of the cost."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LARGEST_REST = 0.02
"""Share of squared length that may lie outside the dimensions kept; the more, the fewer products are ruled out."""
_ROUNDING = 1e-6
"""Added to the squared length of the rest, more than rounding takes from it."""
_MULTIPLE = 16


class Sketch:
    """Turns vectors x (n, d) into (n, m + 1): x along m directions, and the length of what is left.

    For any two vectors the dot product is at most that of their sketches: along the directions it is the same,
    and the rest is bounded by the product of the two lengths (Cauchy-Schwarz).
    """

    def __init__(self, basis: NDArray[np.float64]) -> None:
        self._basis = basis
        self.width = basis.shape[1] + 1

    def __call__(self, vectors: NDArray[np.floating]) -> NDArray[np.float32]:
        """Sketches of float16 or float32 vectors."""
        exact = vectors.astype(np.float64)
        along = exact @ self._basis
        rest = np.square(exact).sum(axis=1) - np.square(along).sum(axis=1)
        lengths = np.sqrt(np.maximum(rest, 0.0) + _ROUNDING)
        return np.column_stack([along, lengths]).astype(np.float32)


def learn_sketch(sample: NDArray[np.floating]) -> Sketch | None:
    """The main directions of a sample (n, d) of unit vectors; None where they are too many to gain by."""
    wide = sample.astype(np.float32)
    energies, directions = np.linalg.eigh(wide.T @ wide)
    kept = np.cumsum(energies[::-1], dtype=np.float64) / energies.sum(dtype=np.float64)
    needed = int(np.searchsorted(kept, 1 - LARGEST_REST)) + 1
    count = -(-(needed + 1) // _MULTIPLE) * _MULTIPLE - 1
    if 2 * count > wide.shape[1]:
        return None
    basis: NDArray[np.float64] = np.linalg.qr(directions[:, ::-1][:, :count].astype(np.float64))[0]
    return Sketch(basis)


def rest_of(sketches: NDArray[np.float32]) -> float:
    """Mean share of squared length that sketches leave out."""
    return float(np.square(sketches[:, -1]).mean()) if len(sketches) else 0.0
