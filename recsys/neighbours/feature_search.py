"""The products whose pictures are nearest to a feature, among what may be recommended now."""

from __future__ import annotations

from collections.abc import Mapping

from recsys.catalogue import Catalogue
from recsys.neighbours.by_encoder import Feature
from recsys.neighbours.feature_vectors import InvalidVectorError, read_feature
from recsys.neighbours.hubness import Correction
from recsys.neighbours.index import Changes, Neighbour, Vector
from recsys.neighbours.pairing import Traits
from recsys.neighbours.vector_search import VectorSearch
from schemas.events import ImageFeature, ProductCreated


class FeatureSearch:
    """Follows ``image-features`` and ``product-created`` as tables; keeps no lists.

    Features of each encoder are searched on their own, for those of two cannot be compared. A product is found
    while it is in the catalogue and in stock. What corrects hubs among similar products does so here.
    """

    def __init__(self) -> None:
        self._catalogue = Catalogue()
        self._searches: dict[tuple[str, int], VectorSearch] = {}
        self._space_of: dict[str, tuple[str, int]] = {}
        self._corrections: dict[str, Correction | None] = {}

    def __len__(self) -> int:
        """How many products have a feature."""
        return len(self._space_of)

    def apply(
        self, features: Mapping[str, ImageFeature | None], products: Mapping[str, ProductCreated | None]
    ) -> None:
        """Take the latest messages of products, None for a tombstone; a feature that cannot be read is none."""
        for product_id, product in products.items():
            self._catalogue.put(product_id, product)
        vectors: dict[tuple[str, int], dict[str, Vector]] = {}
        for product_id, message in features.items():
            feature = _readable(message)
            space = None if feature is None else (feature.encoder_id, len(feature.vector))
            before = self._space_of.pop(product_id, None)
            if before is not None and before != space:
                self._searches[before].apply(Changes(removed=[product_id]))
            if feature is not None and space is not None:
                self._space_of[product_id] = space
                vectors.setdefault(space, {})[product_id] = feature.vector
        known = features.keys() | products.keys()
        listable = {product_id: self._catalogue.is_recommendable(product_id) for product_id in known}
        traits = {product_id: Traits(self._catalogue.category_of(product_id) or "") for product_id in known}
        for space in vectors.keys() - self._searches.keys():
            self._searches[space] = VectorSearch(space[1])
            self._searches[space].correct(self._correction_of(space))
        for space, search in self._searches.items():
            search.apply(Changes(vectors.get(space, {}), (), listable, traits))
        self._searches = {space: search for space, search in self._searches.items() if len(search)}

    def correct(self, encoder_id: str, correction: Correction | None) -> None:
        """Take what corrects hubs among the features of an encoder, None for nothing."""
        self._corrections[encoder_id] = correction
        for space, search in self._searches.items():
            if space[0] == encoder_id:
                search.correct(self._correction_of(space))

    def _correction_of(self, space: tuple[str, int]) -> Correction | None:
        correction = self._corrections.get(space[0])
        return correction if correction is not None and correction.dimensions == space[1] else None

    def encoders(self) -> dict[str, int]:
        """How many products have a feature of each encoder."""
        counts: dict[str, int] = {}
        for (encoder_id, _), search in self._searches.items():
            counts[encoder_id] = counts.get(encoder_id, 0) + len(search)
        return counts

    def search(self, feature: Feature, count: int, category: str | None = None) -> list[Neighbour]:
        """The ``count`` nearest of those with the same encoder, of one category or of all, best first."""
        search = self._searches.get((feature.encoder_id, len(feature.vector)))
        return [] if search is None else search.search([feature.vector], count, category)[0]


def _readable(message: ImageFeature | None) -> Feature | None:
    try:
        return None if message is None else read_feature(message, None)
    except InvalidVectorError:
        return None
