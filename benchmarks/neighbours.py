"""What bringing a new product into the catalogue costs, beside brute-force queries of peers in the same run.

The catalogue is synthetic, its vectors spread over directions as a CNN's features of photographs are. A new
product's cost is everything that follows from it: its own list, and every list that it enters; a query of
scikit-learn or faiss finds its own list only.
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

from consumers.similar_products.settings import SimilarProductsSettings
from recsys.neighbours import ApproximateIndex, Changes, Neighbour, NeighbourIndex

_COMMON = 0.58
"""Squared length that all vectors share."""
_FLAT_DIRECTIONS = 26.5
"""Directions after which the variance falls with the square."""
_LOAD_BATCH = 2_000
_PEERS_UP_TO = 200_000
_RECALL_QUERIES = 100
_BLOCK = 20_000

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
    settings: SimilarProductsSettings = field(default_factory=SimilarProductsSettings)


def bench_neighbours(
    bench: NeighbourBench | None = None, on_progress: OnProgress = lambda done, total: None
) -> dict[str, Any]:
    """Milliseconds a new product and a query, medians over rounds in turn; ``rss_mb`` is the index's process.

    ``recall_at_20`` compares lists, old ones and new ones, with an exact computation. Beyond ``_PEERS_UP_TO``
    products the peers' copies of the catalogue would not fit, and their figures are None. ``on_progress`` is told
    (products loaded, products in all).
    """
    bench = bench or NeighbourBench()
    vectors = synthetic_vectors(bench.dimensions, seed=1)
    catalogue = np.empty((bench.products + bench.rounds * bench.batch, bench.dimensions), np.float16)
    index = bench.settings.make_index(bench.dimensions)
    load_seconds = 0.0
    for at in range(0, bench.products, _LOAD_BATCH):
        rows = vectors(min(_LOAD_BATCH, bench.products - at))
        catalogue[at : at + len(rows)] = rows
        begin = time.perf_counter()
        index.apply(Changes({f"p{at + n}": row for n, row in enumerate(rows)}))
        index.take_changed()
        load_seconds += time.perf_counter() - begin
        on_progress(at + len(rows), bench.products)
    rss_mb = psutil.Process().memory_info().rss / 1e6 - catalogue[: bench.products].nbytes / 1e6
    peers = _peers(catalogue[: bench.products]) if bench.products <= _PEERS_UP_TO else {}
    timings: dict[str, list[float]] = {"new": [], **{name: [] for name in peers}}
    for number in range(bench.rounds):
        new = vectors(bench.batch)
        at = bench.products + number * bench.batch
        catalogue[at : at + len(new)] = new
        changes = Changes({f"p{at + n}": row for n, row in enumerate(new)})
        timings["new"].append(_ms_each(partial(_bring_in, index, changes), len(new)))
        for name, peer in peers.items():
            queries = new[: bench.braycurtis_queries if name == "sklearn_braycurtis" else None].astype(np.float32)
            timings[name].append(_ms_each(partial(peer, queries), len(queries)))
    medians = {name: statistics.median(values) for name, values in timings.items()}
    return {
        "products": bench.products,
        "ms_per_new_product": medians["new"],
        "sklearn_braycurtis_ms": medians.get("sklearn_braycurtis"),
        "sklearn_cosine_ms": medians.get("sklearn_cosine"),
        "faiss_flat_ms": medians.get("faiss_flat"),
        "recall_at_20": _recall(index, catalogue, bench),
        "rss_mb": rss_mb,
        "loaded_products_per_s": bench.products / load_seconds,
        "search": _way(index),
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


def _way(index: NeighbourIndex) -> str:
    """How the index searches at this size."""
    return "graph" if isinstance(index, ApproximateIndex) and index.uses_graph else "exact"


def _recall(index: NeighbourIndex, catalogue: Vectors, bench: NeighbourBench) -> float:
    """Share of the exact nearest 20 in the lists of new products and of as many old ones."""
    new = np.arange(bench.products, len(catalogue))[-_RECALL_QUERIES:]
    asked = np.concatenate([new, np.linspace(0, bench.products - 1, len(new)).astype(int)])
    queries = catalogue[asked].astype(np.float32)
    best_scores, best = np.full((len(asked), 20), -np.inf, np.float32), np.full((len(asked), 20), -1)
    for start in range(0, len(catalogue), _BLOCK):
        block = catalogue[start : start + _BLOCK].astype(np.float32)
        scores = queries @ (block / np.linalg.norm(block, axis=1, keepdims=True)).T
        own = np.flatnonzero((asked >= start) & (asked < start + len(block)))
        scores[own, asked[own] - start] = -np.inf
        scores = np.concatenate([best_scores, scores], axis=1)
        rows = np.broadcast_to(np.arange(start, start + len(block)), (len(asked), len(block)))
        rows = np.concatenate([best, rows], axis=1)
        first = np.argpartition(-scores, min(19, scores.shape[1] - 1), axis=1)[:, :20]
        best_scores, best = np.take_along_axis(scores, first, axis=1), np.take_along_axis(rows, first, axis=1)
    hits = [
        len({f"p{row}" for row in right} & {near.product_id for near in index.neighbours(f"p{number}")[:20]})
        for number, right in zip(asked.tolist(), best.tolist(), strict=True)
    ]
    return float(sum(hits) / np.count_nonzero(best >= 0))


def _peers(catalogue: Vectors) -> dict[str, Callable[[NDArray[np.float32]], Any]]:
    rows = catalogue.astype(np.float32)
    return {
        "sklearn_cosine": _sklearn(rows, "cosine"),
        "sklearn_braycurtis": _sklearn(rows, "braycurtis"),
        "faiss_flat": _faiss_flat(rows),
    }


def _faiss_flat(catalogue: NDArray[np.float32]) -> Callable[[NDArray[np.float32]], Any]:
    import faiss

    flat = faiss.IndexFlatIP(catalogue.shape[1])
    flat.add(catalogue)
    return lambda queries: flat.search(queries, 20)


def _bring_in(index: NeighbourIndex, changes: Changes) -> list[list[Neighbour]]:
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
