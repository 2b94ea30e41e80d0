"""The embedding benchmark runs, with its contender as a process."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from benchmarks.embedding import EmbedBench, bench_embed
from schemas.errors import ConfigurationError

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def test_every_figure_is_there(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    found = bench_embed(tmp_path, EmbedBench(drawn=24, rounds=1), lambda *done: told.append(done))
    keras = found.pop("keras_images_per_s")
    assert (keras is None) == (importlib.util.find_spec("tensorflow") is None)
    assert list(found) == ["images_per_s", "limit_images_per_s", "ready_s", "rss_mb"]
    assert all(value is not None and value > 0 for value in found.values())
    assert told == [(1, 1)]


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="has 0 pictures; give a folder with more"):
        bench_embed(tmp_path, EmbedBench(images=tmp_path))
