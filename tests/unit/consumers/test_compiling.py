"""What would be compiled where it is first called is compiled beforehand, in every module that has some."""

from __future__ import annotations

import importlib
import pkgutil

from numba.core.dispatcher import Dispatcher

import recsys
from consumers import compiling


def test_everything_is_compiled() -> None:
    compiling.main()
    called: dict[str, bool] = {}
    for module in pkgutil.walk_packages(recsys.__path__, "recsys."):
        for function in vars(importlib.import_module(module.name)).values():
            if isinstance(function, Dispatcher):
                # Functions that others call are compiled as part of them, and count as called there.
                own = function.py_func.__module__
                called[own] = called.get(own, False) or bool(function.signatures)
    assert len(called) > 5
    assert all(called.values()), called
