"""The least-squares problem of implicit ALS, exactly, for many shoppers or many items at once.

Source: Hu, Koren, Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", ICDM 2008. With a vector p
that is expected before anything is known (from features), and that x is pulled towards:

    (G + λ I + α Σ w y yᵀ) x = (1 + α) Σ w y + λ p

The sums are over what was visited; G is Σ y yᵀ over all that there is. With p = 0 that is implicit ALS with
confidence 1 + α w.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recsys.sessions.ragged_rows import Integers, Lengths, runs

Vectors = NDArray[np.float64]
Weights = NDArray[np.float64]

_MAX_ENTRIES = 1 << 15
"""Vectors that are worked on at once at most, padding included, unless one problem has more."""


_MAX_VISITS = 1 << 18
"""Visits whose vectors are at hand at once at most, unless one problem has more."""


class Gram(NamedTuple):
    """G + λ I, and the inverse of that."""

    matrix: Vectors
    inverse: Vectors
    regularisation: float


def regularised(gram: Vectors, regularisation: float) -> Gram:
    """A Gram matrix to solve with."""
    matrix = gram + regularisation * np.eye(len(gram))
    return Gram(matrix, np.linalg.inv(matrix).astype(np.float64), regularisation)


class Visited(NamedTuple):
    """Vectors of what was visited, one problem after the other, and how much each visit weighs."""

    counts: Integers
    """Visits by problem."""
    vectors: Vectors
    """float64, shape (visits, factors)."""
    weights: Weights


def solve(gram: Gram, visited: Visited, alpha: float, expected: Vectors | None = None) -> Vectors:
    """The solutions, shape (problems, factors); ``expected`` is the p, zeros where there is none."""
    factors = len(gram.matrix)
    if expected is None:
        found = np.zeros((len(visited.counts), factors))
    else:
        found = gram.regularisation * expected @ gram.inverse
    starts = np.cumsum(visited.counts) - visited.counts
    order = np.argsort(visited.counts, kind="stable")
    order = order[np.searchsorted(visited.counts[order], 1) :]
    while len(order):
        longest = int(visited.counts[order[-1]])
        some = order[-max(1, _MAX_ENTRIES // longest) :]
        order = order[: len(order) - len(some)]
        vectors, weights = _padded(visited, starts[some], visited.counts[some], longest)
        targets = (1.0 + alpha) * weights
        if expected is not None:
            # Of what the expected vector does not explain: x = x₀ + A⁻¹ Vᵀ (c - D V x₀), x₀ = λ (G + λ I)⁻¹ p.
            targets -= alpha * weights * np.einsum("pvk,pk->pv", vectors, found[some])
        if longest < factors:
            found[some] += _by_visits(gram.inverse, vectors, alpha * weights, targets)
        else:
            found[some] += _by_factors(gram.matrix, vectors, alpha * weights, targets)
    return found


def portions(numbers: Integers, visits: Integers | Lengths) -> Iterator[Integers]:
    """Numbers of shoppers or items, a bounded number of their visits at a time."""
    ends = np.cumsum(visits)
    start = 0
    while start < len(numbers):
        before = ends[start] - visits[start]
        end = max(start + 1, int(np.searchsorted(ends, before + _MAX_VISITS, "right")))
        yield numbers[start:end]
        start = end


def _padded(visited: Visited, starts: Integers, counts: Integers, longest: int) -> tuple[Vectors, Weights]:
    """Problems of equal length: what is missing weighs nothing."""
    places = runs(starts, counts)
    owners, within = np.repeat(np.arange(len(counts)), counts), runs(np.zeros(len(counts), np.int64), counts)
    vectors = np.zeros((len(counts), longest, visited.vectors.shape[1]))
    weights = np.zeros((len(counts), longest))
    vectors[owners, within] = visited.vectors[places]
    weights[owners, within] = visited.weights[places]
    return vectors, weights


def _by_factors(gram: Vectors, vectors: Vectors, extra: Weights, targets: Weights) -> Vectors:
    """Solve factors × factors."""
    left = gram + np.matmul((vectors * extra[:, :, None]).transpose(0, 2, 1), vectors)
    right = np.einsum("pv,pvk->pk", targets, vectors)
    return np.asarray(np.linalg.solve(left, right[:, :, None])[:, :, 0])


def _by_visits(inverse: Vectors, vectors: Vectors, extra: Weights, targets: Weights) -> Vectors:
    """Solve visits × visits, where there are fewer of them: the same by the matrix inversion lemma.

    With V the vectors, D their extra weights, c the targets: (G + Vᵀ D V)⁻¹ Vᵀ c = G⁻¹ Vᵀ (I + D V G⁻¹ Vᵀ)⁻¹ c.
    """
    turned = vectors @ inverse
    left = extra[:, :, None] * np.matmul(turned, vectors.transpose(0, 2, 1))
    diagonal = np.arange(left.shape[1])
    left[:, diagonal, diagonal] += 1.0
    shares = np.linalg.solve(left, targets[:, :, None])
    return np.asarray(np.matmul(shares.transpose(0, 2, 1), turned)[:, 0])
