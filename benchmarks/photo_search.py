"""What a search by photo costs on one core, part by part, in a synthetic catalogue.

CPU time, so that other work on the machine does not count; BLAS and LiteRT are held to one thread.
"""

from __future__ import annotations

import io
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from threadpoolctl import threadpool_limits

from benchmarks.neighbours import synthetic_vectors
from consumers.image_features.encoder import Encoder
from consumers.image_features.photo_search import PhotoSearch
from recsys.neighbours import Changes, Neighbour
from recsys.neighbours.by_encoder import Feature
from recsys.neighbours.hubness import learn_correction
from recsys.neighbours.pairing import Traits
from recsys.neighbours.vector_search import VectorSearch

_LOAD_BATCH = 4_000
_CATEGORIES = 20
_LEARNT_FROM = 12_000
"""Products that what corrects hubs is learnt from."""


@dataclass(frozen=True, slots=True)
class PhotoBench:
    """How large the catalogue and the photo are, and how often it is asked."""

    products: int = 100_000
    width: int = 1_200
    height: int = 1_600
    rounds: int = 15


def bench_photo_search(
    bench: PhotoBench | None = None, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> dict[str, Any]:
    """Median milliseconds of one core for a whole search, of all products and of one category."""
    bench = bench or PhotoBench()
    encoder = Encoder(num_threads=1)
    search = VectorSearch(encoder.dimensions)
    vectors = synthetic_vectors(encoder.dimensions, seed=1)
    for at in range(0, bench.products, _LOAD_BATCH):
        rows = {f"p{at + n}": row for n, row in enumerate(vectors(min(_LOAD_BATCH, bench.products - at)))}
        traits = {product_id: Traits(str(n % _CATEGORIES)) for n, product_id in enumerate(rows)}
        search.apply(Changes(rows, traits=traits))
        on_progress(min(at + _LOAD_BATCH, bench.products), bench.products)
    search.correct(learn_correction({f"p{n}": row for n, row in enumerate(vectors(_LEARNT_FROM))}))

    def nearest(feature: Feature, count: int, category: str | None) -> list[Neighbour]:
        return search.search([feature.vector], count, category)[0]

    photos = PhotoSearch(encoder, nearest)
    photo = _photo(bench.width, bench.height)
    with threadpool_limits(limits=1):
        return {
            "products": bench.products,
            "photo_bytes": len(photo),
            "search_ms": _median_ms(lambda: photos.search(photo), bench.rounds),
            "search_in_category_ms": _median_ms(lambda: photos.search(photo, category="3"), bench.rounds),
            "embed_ms": _median_ms(lambda: photos.embed(photo), bench.rounds),
        }


def _photo(width: int, height: int) -> bytes:
    rng = np.random.default_rng(2)
    ground = rng.normal(150, 6, (height, width, 3))
    small = rng.integers(0, 256, (12, 9, 3)).astype(np.uint8)
    photo = Image.fromarray(np.clip(ground, 0, 255).astype(np.uint8))
    photo.paste(Image.fromarray(small).resize((width // 2, height // 2)), (width // 4, height // 4))
    file = io.BytesIO()
    photo.save(file, "JPEG", quality=90)
    return file.getvalue()


def _median_ms(action: Callable[[], Any], rounds: int) -> float:
    action()
    timings = []
    for _ in range(rounds):
        begin = time.process_time()
        action()
        timings.append((time.process_time() - begin) * 1_000)
    return statistics.median(timings)
