"""Dot products of many pairs of rows, without rounding, compiled: gathering and converting rows cost most before.

float16 numbers are multiples of 2^-24 with 11 significant bits. A product of two has 22 bits, which float32 holds;
it is a multiple of 2^-48, and for vectors of unit length no partial sum exceeds 1 by much (Cauchy-Schwarz), so all
fit the 53 bits of float64. So the order of summation does not matter, and the compiler may choose it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recsys.compiled import compiled_in_any_order
from recsys.neighbours.ragged import Ints, Scores

_FEW = 512
"""Pairs up to which numpy is quick enough: a process that only ever has so few does not load the compiler."""
_BIAS = np.float32(2.0**112)
"""An exponent is written 15 higher in a float16 and 127 higher in a float32."""
_SIGN, _REST, _SHIFT, _SIGN_SHIFT = np.uint32(0x8000), np.uint32(0x7FFF), np.uint32(13), np.uint32(16)


def exact_dots(queries: NDArray[np.float32], left: Ints, rows: NDArray[np.floating], right: Ints) -> Scores:
    """For every i, the dot product of query ``left[i]`` of (q, d) and row ``right[i]`` of (n, d), float64.

    Both hold float16 numbers; ``rows`` is float16 or float32.
    """
    if len(left) <= _FEW:
        products = queries[left] * rows[right].astype(np.float32, copy=False)
        few: Scores = products.sum(axis=1, dtype=np.float64)
        return few
    dots = np.empty(len(left), np.float64)
    if rows.dtype == np.float16:
        _dots_of_halves(queries, left, rows.view(np.uint16), right, dots)
    else:
        _dots(queries, left, rows, right, dots)
    return dots


@compiled_in_any_order
def _dots(queries: NDArray[np.float32], left: Ints, rows: NDArray[np.float32], right: Ints, dots: Scores) -> None:
    for pair in range(len(left)):
        query, row = queries[left[pair]], rows[right[pair]]
        total = 0.0
        for at in range(len(query)):
            total += np.float64(query[at] * row[at])
        dots[pair] = total


@compiled_in_any_order
def _dots_of_halves(
    queries: NDArray[np.float32], left: Ints, rows: NDArray[np.uint16], right: Ints, dots: Scores
) -> None:
    """A float16's bits, shifted, are those of a float32 that is smaller by the bias, subnormal ones included."""
    for pair in range(len(left)):
        query, row = queries[left[pair]], rows[right[pair]]
        total = 0.0
        for at in range(len(query)):
            half = np.uint32(row[at])
            bits = np.uint32(((half & _REST) << _SHIFT) | ((half & _SIGN) << _SIGN_SHIFT))
            total += np.float64(query[at] * (bits.view(np.float32) * _BIAS))
        dots[pair] = total
