"""What would be compiled where it is first called is compiled beforehand; others do not load numba."""

from __future__ import annotations

import subprocess
import sys

_LEFT = """
import gc
from consumers import compiling
from numba.core.dispatcher import Dispatcher
from recsys.compiled import Compiled

compiling.main()
there = gc.get_objects()
print(sum(isinstance(one, Dispatcher) for one in there) > 20)
print(*(one.py_func.__name__ for one in there if isinstance(one, Compiled) and one._made is None))
"""


def test_everything_is_compiled() -> None:
    done = subprocess.run([sys.executable, "-c", _LEFT], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True"]


def test_a_stage_that_compiles_nothing_does_not_load_the_compiler() -> None:
    modules = "consumers.stages, consumers.image_features.stage, storefront.api.server"
    loaded = f"import sys, {modules}; print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
