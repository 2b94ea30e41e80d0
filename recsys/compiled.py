"""Functions over arrays that are compiled to machine code where they are first called.

numba compiles; what it made is kept on disk (`__pycache__`, or a folder of the user's where that may not be
written), so only the first start on a machine takes seconds; ``consumers.compiling`` does it beforehand. A process
that calls none of them never loads numba, which takes a second and 100 MB.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """The same function in machine code; ``function`` itself stays at hand as its attribute ``py_func``.

    Arrays keep their dtypes from call to call, or each combination would be compiled. Additions are not put in
    another order, so results are those of the function as it is written.
    """
    return cast(Callable[P, R], Compiled(function, frozenset()))


def compiled_in_any_order(function: Callable[P, R]) -> Callable[P, R]:
    """The same for sums whose order does not matter: several additions at a time."""
    return cast(Callable[P, R], Compiled(function, frozenset({"reassoc", "contract", "nsz"})))


class Compiled:
    """Stands for a function until it is called."""

    def __init__(self, function: Callable[..., Any], liberties: frozenset[str]) -> None:
        self.py_func = function
        self._liberties = liberties
        self._made: Any = None
        """The same as numba has it, once it was called, or compiled as part of another."""

    def __call__(self, *args: Any) -> Any:
        """Compile if that was not done yet, and call."""
        return (self._made or self.make())(*args)

    def make(self) -> Any:
        """The function as numba has it; it is compiled for the types that it is called with."""
        if self._made is None:
            import numba

            fastmath = set(self._liberties) or False
            try:
                self._made = numba.njit(cache=True, nogil=True, fastmath=fastmath)(self.py_func)
            except RuntimeError:  # nowhere to keep it, as with a file system that is read-only
                self._made = numba.njit(nogil=True, fastmath=fastmath)(self.py_func)
            # numba looks up by name what this one calls, and has to find what is its own there.
            known = self.py_func.__globals__
            for name in self.py_func.__code__.co_names:
                if isinstance(called := known.get(name), Compiled):
                    known[name] = called.make()
        return self._made
