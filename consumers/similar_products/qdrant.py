"""The graph of an external vector database, Qdrant, for catalogues whose graph one machine should not hold."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import numpy as np

from recsys.neighbours.ragged import Ints
from recsys.neighbours.vectors import Matrix
from schemas.errors import ConfigurationError

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

_AT_ONCE = 512
"""Points in one request."""


class QdrantRows:
    """``NearVectors`` in a collection of its own, made anew: the features are the state, not the database.

    ``client`` may be of a server, or of Qdrant's local mode. The collection is named after ``name`` and a random
    part, for two processes must not write into one; ``close`` drops it.
    """

    def __init__(self, client: QdrantClient, dimensions: int, name: str = "similar-products") -> None:
        from qdrant_client import models

        self._models = models
        self._client = client
        self._held: set[int] = set()
        self.collection = f"{name}-{uuid.uuid4().hex[:12]}"
        self._client.create_collection(
            self.collection, vectors_config=models.VectorParams(size=dimensions, distance=models.Distance.DOT)
        )

    def __len__(self) -> int:
        return len(self._held)

    def write(self, rows: Ints, vectors: Matrix) -> None:
        """Set the vectors (n, d) of rows."""
        for at in range(0, len(rows), _AT_ONCE):
            part = rows[at : at + _AT_ONCE].tolist()
            batch = self._models.Batch(ids=part, vectors=vectors[at : at + _AT_ONCE].tolist())
            self._client.upsert(self.collection, points=batch, wait=True)
            self._held.update(part)

    def remove(self, rows: Ints) -> None:
        """Forget rows; those that are not there do not matter."""
        known = sorted(self._held.intersection(rows.tolist()))
        if known:
            selector = self._models.PointIdsList(points=list(known))
            self._client.delete(self.collection, points_selector=selector, wait=True)
            self._held.difference_update(known)

    def near(self, queries: Matrix, count: int, effort: int) -> Ints:
        """For each query (q, d), ``count`` rows that are near, best first; -1 where there is none."""
        found: Ints = np.full((len(queries), count), -1)
        parameters = self._models.SearchParams(hnsw_ef=effort)
        for at in range(0, len(queries), _AT_ONCE):
            requests = [
                self._models.QueryRequest(query=query, limit=count, params=parameters)
                for query in queries[at : at + _AT_ONCE].tolist()
            ]
            for number, answer in enumerate(self._client.query_batch_points(self.collection, requests), at):
                ids = [int(point.id) for point in answer.points]
                found[number, : len(ids)] = ids
        return found

    def close(self) -> None:
        """Drop the collection."""
        self._client.delete_collection(self.collection)


def connect(url: str) -> QdrantClient:
    """A client of the server at ``url``; ``:memory:`` is the local mode. Raises ``ConfigurationError``."""
    try:
        from qdrant_client import QdrantClient
    except ImportError as error:
        raise ConfigurationError("similar_products.qdrant_url is set: install qdrant-client") from error
    return QdrantClient(location=url) if url == ":memory:" else QdrantClient(url=url)
