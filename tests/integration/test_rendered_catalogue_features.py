"""How well the default encoder's features tell the demo catalogue's categories apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from consumers.image_features.cleaning import clean
from consumers.image_features.encoder import Encoder
from consumers.image_features.settings import ImageLimits
from producers.rendered_catalogue import render_catalogue


@pytest.mark.slow
def test_the_nearest_drawings_show_the_same_category_and_often_the_same_pattern(tmp_path: Path) -> None:
    """Measured: category precision@10 of 0.99; 0.70 of the nearest three share the pattern (by chance 0.15)."""
    items = render_catalogue(tmp_path)
    limits = ImageLimits()
    pictures = np.stack([clean((tmp_path / item.image).read_bytes(), limits) for item in items])
    features = Encoder().embed(pictures)
    similarity = features @ features.T
    np.fill_diagonal(similarity, -1)
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :10]
    category = np.array([item.category for item in items])
    pattern = np.array([item.pattern for item in items])
    assert (category[nearest] == category[:, None]).mean() >= 0.95
    assert (pattern[nearest[:, :3]] == pattern[:, None]).mean() >= 0.6
