"""Features of a whole catalogue at once, by the same fetching, cleaning and encoder as the stage's."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from consumers.image_features.cleaning import clean
from consumers.image_features.encoder import Encoder
from consumers.image_features.encoders import encoder_path
from consumers.image_features.errors import ImageError
from consumers.image_features.fetching import ImageFetcher
from consumers.image_features.pipeline import Failed, Fetched, ImagePipeline, Outcome
from consumers.image_features.settings import ImageSettings

_WAIT_SECONDS = 0.05


class EmbeddedCatalogue(NamedTuple):
    """Unit vectors as they are published, float16 (d,), and what was wrong with the other pictures."""

    vectors: dict[str, NDArray[np.float16]]
    failures: dict[str, ImageError]


def embed_catalogue(
    image_urls: Mapping[str, str],
    settings: ImageSettings,
    on_progress: Callable[[int], None] = lambda done: None,
    encoder: Encoder | None = None,
) -> EmbeddedCatalogue:
    """Embed the picture of each product; ``on_progress`` is told how many are dealt with, failures included.

    ``encoder`` is one that is loaded already; unset, the one that the settings name.
    """
    encoder = encoder or Encoder(encoder_path(settings.encoder, settings.encoders_dir))
    embedded = EmbeddedCatalogue({}, {})
    under_way: deque[tuple[list[str], Callable[[], NDArray[np.float32]]]] = deque()

    def finish_one() -> None:
        ids, rows = under_way.popleft()
        embedded.vectors.update(zip(ids, rows().astype(np.float16), strict=True))
        on_progress(len(embedded.vectors) + len(embedded.failures))

    for outcomes in cleaned_pictures(image_urls, settings, encoder.side):
        fetched = [outcome for outcome in outcomes if isinstance(outcome, Fetched)]
        embedded.failures.update((one.ref, one.error) for one in outcomes if isinstance(one, Failed))
        if fetched:
            rows = encoder.begin(np.stack([picture.pixels for picture in fetched]))
            under_way.append(([picture.ref for picture in fetched], rows))
        if len(under_way) > 1:  # the encoder always has something to do
            finish_one()
    while under_way:
        finish_one()
    on_progress(len(embedded.vectors) + len(embedded.failures))
    return embedded


def cleaned_pictures(image_urls: Mapping[str, str], settings: ImageSettings, side: int) -> Iterator[list[Outcome]]:
    """Fetch and clean the picture of each product, to ``side`` pixels; in the order in which they are ready."""
    fetcher = ImageFetcher(settings.fetch, settings.limits, settings.pipeline.fetchers)
    cleaned = functools.partial(clean, limits=settings.limits, side=side)
    pipeline = ImagePipeline(fetcher.fetch, cleaned, settings.pipeline, settings.retry)
    waiting = iter(image_urls.items())
    left = len(image_urls)
    try:
        while left:
            for product_id, url in islice(waiting, pipeline.free):
                pipeline.submit(product_id, url)
            pipeline.wait(_WAIT_SECONDS)
            outcomes = pipeline.ready(settings.embed_batch)
            if outcomes:
                left -= len(outcomes)
                yield outcomes
    finally:
        pipeline.close()
        fetcher.close()
