"""A refit's vectors in parts that fit into messages: cut for the log, and put together again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.events import RefitFactors

_PART_BYTES = 400_000
"""Vectors and ids in one message; those of a topic hold more than twice as much."""

FloatVectors = NDArray[np.float32]


class ItemVectors(NamedTuple):
    """What a fit found: float32, shape (products, factors), and the latest event that it knows of."""

    generation: int
    product_ids: Sequence[str]
    vectors: FloatVectors
    event_time_ms: int


def cut(found: ItemVectors) -> Iterator[RefitFactors]:
    """The parts, in order."""
    sizes = np.array([len(product_id.encode()) for product_id in found.product_ids], np.int64)
    ends = np.cumsum(sizes + 4 * found.vectors.shape[1])
    bounds = np.flatnonzero(np.diff(ends // _PART_BYTES)) + 1
    ids = [list(part) for part in np.split(np.array(found.product_ids, object), bounds)]
    rows = np.split(found.vectors.astype("<f4"), bounds)
    for number, (own, vectors) in enumerate(zip(ids, rows, strict=True)):
        yield RefitFactors(found.generation, number, len(ids), own, vectors.tobytes(), found.event_time_ms)


class RefitParts:
    """Gathers the parts of the latest refit until all are there. Memory: its vectors, until they are let go."""

    def __init__(self) -> None:
        self._parts: dict[int, RefitFactors] = {}
        self._generation = 0

    def take(self, part: RefitFactors) -> None:
        """Take a part; those of earlier refits are of no use any more."""
        if part.generation > self._generation:
            self._generation = part.generation
            self._parts.clear()
        if part.generation == self._generation:
            self._parts[part.part] = part

    def complete(self, after: int) -> ItemVectors | None:
        """The refit, if all of it is there and it came after a generation."""
        parts = sorted(self._parts.items())
        if self._generation <= after or not parts or len(parts) < parts[0][1].parts:
            return None
        ids = [product_id for _, part in parts for product_id in part.product_ids]
        data = b"".join(part.vectors for _, part in parts)
        vectors = np.frombuffer(data, "<f4").reshape(len(ids), -1)
        return ItemVectors(self._generation, ids, vectors, max(part.event_time_ms for _, part in parts))

    def let_go(self, until: int) -> None:
        """Keep nothing of refits up to a generation."""
        if self._generation <= until:
            self._parts.clear()
