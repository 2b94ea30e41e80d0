"""How well the default encoder's features tell categories apart, on real product photographs."""

from __future__ import annotations

import csv
import functools
import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from consumers.image_features.cleaning import clean
from consumers.image_features.encoder import Encoder
from consumers.image_features.fetching import ImageFetcher
from consumers.image_features.pipeline import Fetched, ImagePipeline
from consumers.image_features.settings import FetchSettings, ImageLimits, PipelineSettings, RetryPolicy

DATA = Path(os.environ.get("RECSYS_TEST_DATA") or Path(__file__).parents[2].parent / "shared/data")
CLOTHING = DATA / "clothing"


def embed_all(paths: list[str]) -> NDArray[np.float32]:
    """Features of pictures below ``CLOTHING``, as they are published (float16), in the order of ``paths``."""
    limits = ImageLimits()
    fetcher = ImageFetcher(FetchSettings(images_dir=CLOTHING), limits)
    settings = PipelineSettings(fetchers=4, capacity=64)
    pipeline = ImagePipeline(fetcher.fetch, functools.partial(clean, limits=limits), settings, RetryPolicy())
    encoder = Encoder()
    vectors = np.zeros((len(paths), encoder.dimensions), np.float32)
    left, todo = len(paths), iter(enumerate(paths))
    while left:
        for number, path in [next(todo) for _ in range(min(pipeline.free, left - pipeline.pending))]:
            pipeline.submit(str(number), path)
        pipeline.wait(1.0)
        outcomes = pipeline.ready(32)
        fetched = [outcome for outcome in outcomes if isinstance(outcome, Fetched)]
        assert fetched == outcomes, "every photograph can be read"
        if fetched:
            rows = encoder.embed(np.stack([picture.pixels for picture in fetched]))
            vectors[[int(picture.ref) for picture in fetched]] = rows.astype(np.float16)
            left -= len(fetched)
    pipeline.close()
    fetcher.close()
    return vectors


@pytest.mark.slow
@pytest.mark.skipif(not CLOTHING.is_dir(), reason=f"no clothing photographs at {CLOTHING}; set RECSYS_TEST_DATA")
def test_the_nearest_photographs_show_the_same_category() -> None:
    with (CLOTHING / "catalog.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    vectors = embed_all([row["image"] for row in rows])
    category = np.unique([row["category"] for row in rows], return_inverse=True)[1]
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -1)
    nearest = np.argpartition(-similarity, 10, axis=1)[:, :10]
    precision = (category[nearest] == category[:, None]).mean()
    assert len(rows) == 3_409
    assert precision >= 0.69
