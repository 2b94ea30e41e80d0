"""What bringing a new product into the catalogue costs, beside scikit-learn's brute-force queries in the same run.

The catalogue is synthetic, its vectors spread over directions as a CNN's features of photographs are. A new
product's cost is everything that follows from it: its own list, and every list that it enters; a query of
scikit-learn's finds its own list only.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from recsys.neighbours import Changes, ExactIndex, ExactSettings, Neighbour

_COMMON = 0.58
"""Squared length that all vectors share."""
_FLAT_DIRECTIONS = 26.5
"""Directions after which the variance falls with the square."""
_LOAD_BATCH = 2_000

OnProgress = Callable[[int, int], None]
Vectors = NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class NeighbourBench:
    """How large the catalogue is, how many new products come at once, and how often that is repeated."""

    products: int = 50_000
    dimensions: int = 1_280
    batch: int = 64
    rounds: int = 9
    braycurtis_queries: int = 8
    settings: ExactSettings = field(default_factory=ExactSettings)


def bench_neighbours(
    bench: NeighbourBench | None = None, on_progress: OnProgress = lambda done, total: None
) -> dict[str, Any]:
    """Milliseconds a new product and a query, medians over rounds in turn; ``rss_mb`` is the index's process.

    ``on_progress`` is told (products loaded, products in all).
    """
    bench = bench or NeighbourBench()
    vectors = synthetic_vectors(bench.dimensions, seed=1)
    catalogue = vectors(bench.products)
    index = ExactIndex(bench.dimensions, bench.settings)
    for at in range(0, bench.products, _LOAD_BATCH):
        index.apply(Changes({f"p{at + n}": row for n, row in enumerate(catalogue[at : at + _LOAD_BATCH])}))
        on_progress(min(at + _LOAD_BATCH, bench.products), bench.products)
    index.take_changed()
    rss_mb = psutil.Process().memory_info().rss / 1e6 - catalogue.nbytes / 1e6
    cosine, braycurtis = (_sklearn(catalogue.astype(np.float32), metric) for metric in ("cosine", "braycurtis"))
    timings: dict[str, list[float]] = {"new": [], "cosine": [], "braycurtis": []}
    for number in range(bench.rounds):
        new = vectors(bench.batch)
        changes = Changes({f"new-{number}-{n}": row for n, row in enumerate(new)})
        queries = new.astype(np.float32)
        few = queries[: bench.braycurtis_queries]
        timings["new"].append(_ms_each(partial(_bring_in, index, changes), len(new)))
        timings["cosine"].append(_ms_each(partial(cosine, queries), len(new)))
        timings["braycurtis"].append(_ms_each(partial(braycurtis, few), len(few)))
    medians = {name: statistics.median(values) for name, values in timings.items()}
    return {
        "products": bench.products,
        "ms_per_new_product": medians["new"],
        "sklearn_braycurtis_ms": medians["braycurtis"],
        "sklearn_cosine_ms": medians["cosine"],
        "rss_mb": rss_mb,
    }


def synthetic_vectors(dimensions: int, seed: int) -> Callable[[int], Vectors]:
    """Makes unit float16 (n, d), other ones with each call.

    As with the default encoder's features of clothing photographs, two have a cosine of 0.58 in the middle, and of
    the squared length 7 % lie outside the main 128 directions, 4 % outside 256 and 2 % outside 512.
    """
    rng = np.random.default_rng(seed)
    variances = 1.0 / (np.arange(dimensions) + _FLAT_DIRECTIONS) ** 2
    deviations = np.sqrt((1 - _COMMON) * variances / variances.sum())
    rotation = np.linalg.qr(rng.standard_normal((dimensions, dimensions), dtype=np.float32))[0]
    scaled = rotation * deviations[:, None].astype(np.float32)
    common = np.float32(np.sqrt(_COMMON)) * rng.standard_normal(dimensions, dtype=np.float32)
    common /= np.float32(np.sqrt(dimensions))

    def make(count: int) -> Vectors:
        rows: NDArray[np.float32] = rng.standard_normal((count, dimensions), dtype=np.float32) @ scaled + common
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return rows.astype(np.float16)

    return make


def _bring_in(index: ExactIndex, changes: Changes) -> list[list[Neighbour]]:
    index.apply(changes)
    return [index.neighbours(product_id) for product_id in index.take_changed()]


def _sklearn(catalogue: NDArray[np.float32], metric: str) -> Callable[[NDArray[np.float32]], Any]:
    from sklearn.neighbors import NearestNeighbors

    model = NearestNeighbors(n_neighbors=20, algorithm="brute", metric=metric).fit(catalogue)
    return lambda queries: model.kneighbors(queries, return_distance=True)


def _ms_each(action: Callable[[], Any], count: int) -> float:
    begin = time.perf_counter()
    action()
    return (time.perf_counter() - begin) * 1_000 / count
