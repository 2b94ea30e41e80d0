from __future__ import annotations

import gc

import pytest

from consumers.runtime.batching import uncollected


def test_cycles_are_looked_for_afterwards_even_where_work_fails() -> None:
    assert gc.isenabled()
    with pytest.raises(ValueError, match="work"), uncollected():
        raise ValueError("work")
    assert gc.isenabled()


def test_who_runs_without_collection_goes_on_without() -> None:
    gc.disable()
    try:
        with uncollected():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()
