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

from recsys.compiled import compiled
from recsys.sessions.ragged_rows import Integers, Lengths

Vectors = NDArray[np.float64]
Weights = NDArray[np.float64]

_MAX_VISITS = 1 << 18
"""Visits whose vectors are at hand at once at most, unless one problem has more."""


class Gram(NamedTuple):
    """G + λ I."""

    matrix: Vectors
    regularisation: float


def regularised(gram: Vectors, regularisation: float) -> Gram:
    """A Gram matrix to solve with."""
    return Gram(gram + regularisation * np.eye(len(gram)), regularisation)


class Visited(NamedTuple):
    """Vectors of what was visited, one problem after the other, and how much each visit weighs."""

    counts: Integers
    """Visits by problem."""
    vectors: Vectors
    """float64, shape (visits, factors)."""
    weights: Weights


def solve(gram: Gram, visited: Visited, alpha: float, expected: Vectors | None = None) -> Vectors:
    """The solutions, shape (problems, factors); ``expected`` is the p, zeros where there is none."""
    right = np.zeros((len(visited.counts), len(gram.matrix)))
    if expected is not None:
        right += gram.regularisation * expected
    weights = np.ascontiguousarray(visited.weights, np.float64)
    _solve_each(
        gram.matrix, visited.counts, np.ascontiguousarray(visited.vectors), (alpha * weights, weights), right
    )
    return right


def portions(numbers: Integers, visits: Integers | Lengths) -> Iterator[Integers]:
    """Numbers of shoppers or items, a bounded number of their visits at a time."""
    ends = np.cumsum(visits)
    start = 0
    while start < len(numbers):
        before = ends[start] - visits[start]
        end = max(start + 1, int(np.searchsorted(ends, before + _MAX_VISITS, "right")))
        yield numbers[start:end]
        start = end


@compiled
def _solve_each(
    left: Vectors, counts: Integers, vectors: Vectors, weights: tuple[Weights, Weights], right: Vectors
) -> None:
    """Replace each problem's λ p by its solution; ``weights`` are α w and w."""
    end = 0
    for problem in range(len(counts)):
        start, end = end, end + counts[problem]
        own, extra, solution = vectors[start:end], weights[0][start:end], right[problem]
        turned = np.empty_like(own)
        for visit in range(len(own)):
            said = extra[visit] + weights[1][start + visit]
            for factor in range(len(solution)):
                turned[visit, factor] = extra[visit] * own[visit, factor]
                solution[factor] += said * own[visit, factor]
        if solution.any():
            matrix = left + np.dot(turned.T, own) if len(own) else left
            _solve_positive(np.linalg.cholesky(matrix), solution)


@compiled
def _solve_positive(lower: Vectors, right: Vectors) -> None:
    """Replace the right side by the solution, given the Cholesky factor of the left."""
    for row in range(len(right)):
        rest = right[row]
        for column in range(row):
            rest -= lower[row, column] * right[column]
        right[row] = rest / lower[row, row]
    for row in range(len(right) - 1, -1, -1):
        right[row] /= lower[row, row]
        for column in range(row):
            right[column] -= lower[row, column] * right[row]
