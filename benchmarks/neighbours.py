"""What bringing a new product into the catalogue costs, beside brute-force queries of peers in the same run.

The catalogue is synthetic, its vectors spread over directions as a CNN's features of photographs are. A new
product's cost is everything that follows from it: its own list, and every list that it enters; a query of
scikit-learn or faiss finds its own list only.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from consumers.similar_products.settings import SimilarProductsSettings
from recsys.neighbours import ApproximateIndex, Changes, Neighbour

_COMMON = 0.58
"""Squared length that all vectors share."""
_FLAT_DIRECTIONS = 26.5
"""Directions after which the variance falls with the square."""
_LOAD_BATCH = 2_000
_PEERS_UP_TO = 200_000
_RECALL_QUERIES = 100
_BLOCK = 20_000
_SIZES = (100_000, 300_000)
"""Sizes on the way to a larger one of which figures are given too."""

OnProgress = Callable[[int, int], None]
OnSize = Callable[[Mapping[str, Any]], None]
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
    bench: NeighbourBench | None = None,
    on_progress: OnProgress = lambda done, total: None,
    on_size: OnSize = lambda figures: None,
) -> dict[str, Any]:
    """Milliseconds a new product and a query, medians over rounds in turn; ``rss_mb`` is the index's process.

    ``recall_at_20`` compares lists, old ones and new ones, with an exact computation. Beyond ``_PEERS_UP_TO``
    products the peers' copies of the catalogue would not fit, and their figures are None. ``on_progress`` is told
    (products loaded, products in all); ``on_size`` the figures of each size on the way. ``growth`` holds
    these, and those of the whole, per second of wall and of CPU time since the size before.
    """
    bench = bench or NeighbourBench()
    catalogue = _Catalogue(bench)
    growth = _load(catalogue, bench, on_progress, on_size)
    rss_mb = growth[-1]["rss_mb"]
    peers = _peers(catalogue.vectors[: bench.products]) if bench.products <= _PEERS_UP_TO else {}
    timings: dict[str, list[float]] = {"new": [], "alone": [], **{name: [] for name in peers}}
    for _ in range(bench.rounds):
        new = catalogue.more(bench.batch)
        timings["new"].append(_ms_each(partial(catalogue.bring_in, new), len(new)))
        timings["alone"].append(_ms_each(partial(catalogue.bring_in, catalogue.more(1)), 1))
        for name, peer in peers.items():
            queries = new[: bench.braycurtis_queries if name == "sklearn_braycurtis" else None].astype(np.float32)
            timings[name].append(_ms_each(partial(peer, queries), len(queries)))
    medians = {name: statistics.median(values) for name, values in timings.items()}
    return {
        "products": bench.products,
        "ms_per_new_product": medians["new"],
        "ms_of_one_alone": medians["alone"],
        "sklearn_braycurtis_ms": medians.get("sklearn_braycurtis"),
        "sklearn_cosine_ms": medians.get("sklearn_cosine"),
        "faiss_flat_ms": medians.get("faiss_flat"),
        "recall_at_20": catalogue.recall(),
        "rss_mb": rss_mb,
        "search": catalogue.search,
        "growth": growth,
    }


class _Catalogue:
    """Synthetic products, as they came, and the index of them."""

    def __init__(self, bench: NeighbourBench) -> None:
        self.index = bench.settings.make_index(bench.dimensions)
        self._make = synthetic_vectors(bench.dimensions, seed=1)
        room = bench.products + bench.rounds * (bench.batch + 1)
        self._rows: Vectors = np.empty((room, bench.dimensions), np.float16)
        self._size = 0

    @property
    def vectors(self) -> Vectors:
        """All vectors so far (n, d)."""
        return self._rows[: self._size]

    @property
    def search(self) -> str:
        """How the index searches at this size."""
        return "graph" if isinstance(self.index, ApproximateIndex) and self.index.uses_graph else "exact"

    @property
    def rss_mb(self) -> float:
        """What the process holds, without the vectors that are kept to compare with."""
        return float(psutil.Process().memory_info().rss - self.vectors.nbytes) / 1e6

    def more(self, count: int) -> Vectors:
        """New products' vectors, which are not in the index yet."""
        rows = self._make(count)
        self._rows[self._size : self._size + count] = rows
        self._size += count
        return rows

    def bring_in(self, rows: Vectors) -> list[list[Neighbour]]:
        """Put the products that came last into the index; returns the lists that change."""
        first = self._size - len(rows)
        self.index.apply(Changes({f"p{first + n}": row for n, row in enumerate(rows)}))
        return [self.index.neighbours(product_id) for product_id in self.index.take_changed()]

    def recall(self) -> float:
        """Share of the exact nearest 20 in the lists of new products and of as many old ones."""
        new = np.arange(self._size)[-_RECALL_QUERIES:]
        asked = np.concatenate([new, np.linspace(0, int(new[0]) - 1, len(new)).astype(int)])
        right = _nearest(self.vectors, asked)
        hits = [
            len(
                {f"p{row}" for row in best}
                & {near.product_id for near in self.index.neighbours(f"p{number}")[:20]}
            )
            for number, best in zip(asked.tolist(), right.tolist(), strict=True)
        ]
        return float(sum(hits) / right.size)


def _load(
    catalogue: _Catalogue, bench: NeighbourBench, on_progress: OnProgress, on_size: OnSize
) -> list[dict[str, Any]]:
    """Bring the catalogue in; the figures of each size on the way, and of the last, whose recall comes later."""
    growth: list[dict[str, Any]] = []
    for size in [*(size for size in _SIZES if size < bench.products), bench.products]:
        first, seconds, cpu_seconds = len(catalogue.vectors), 0.0, 0.0
        for at in range(first, size, _LOAD_BATCH):
            rows = catalogue.more(min(_LOAD_BATCH, size - at))
            begin, cpu_begin = time.perf_counter(), time.process_time()
            catalogue.bring_in(rows)
            seconds += time.perf_counter() - begin
            cpu_seconds += time.process_time() - cpu_begin
            on_progress(at + len(rows), bench.products)
        figures = {
            "products": size,
            "since_products": first,
            "products_per_s": (size - first) / seconds,
            "products_per_cpu_s": (size - first) / cpu_seconds,
            "rss_mb": catalogue.rss_mb,
        }
        if size < bench.products:
            figures["recall_at_20"] = catalogue.recall()
            on_size(figures)
        growth.append(figures)
    return growth


def _nearest(catalogue: Vectors, asked: NDArray[np.int64]) -> NDArray[np.int64]:
    """The exact nearest 20 of some rows (q,), without themselves; (q, 20)."""
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
        first = np.argpartition(-scores, 19, axis=1)[:, :20]
        best_scores, best = np.take_along_axis(scores, first, axis=1), np.take_along_axis(rows, first, axis=1)
    return best


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


def _sklearn(catalogue: NDArray[np.float32], metric: str) -> Callable[[NDArray[np.float32]], Any]:
    from sklearn.neighbors import NearestNeighbors

    model = NearestNeighbors(n_neighbors=20, algorithm="brute", metric=metric).fit(catalogue)
    return lambda queries: model.kneighbors(queries, return_distance=True)


def _ms_each(action: Callable[[], Any], count: int) -> float:
    begin = time.perf_counter()
    action()
    return (time.perf_counter() - begin) * 1_000 / count
