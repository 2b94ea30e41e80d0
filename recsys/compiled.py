"""Functions over arrays that are compiled to machine code where they are first called.

numba compiles; what it made is kept on disk (`__pycache__`, or a folder of the user's where that may not be
written), so only the first start on a machine takes seconds; ``consumers.compiling`` does it beforehand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import numba

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """The same function in machine code; ``function`` itself stays at hand as its attribute ``py_func``.

    Arrays keep their dtypes from call to call, or each combination would be compiled. Additions are not put in
    another order, so results are those of the function as it is written.
    """
    return _compiled(function, frozenset())


def compiled_in_any_order(function: Callable[P, R]) -> Callable[P, R]:
    """The same for sums whose order does not matter: several additions at a time."""
    return _compiled(function, frozenset({"reassoc", "contract", "nsz"}))


def _compiled(function: Callable[P, R], liberties: frozenset[str]) -> Callable[P, R]:
    fastmath = set(liberties) or False
    try:
        made = numba.njit(cache=True, nogil=True, fastmath=fastmath)(function)
    except RuntimeError:  # nowhere to keep it, as with a file system that is read-only
        made = numba.njit(nogil=True, fastmath=fastmath)(function)
    return cast(Callable[P, R], made)
