"""The products as a photo is compared with them: ``image-features`` and ``product-created`` as tables."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from consumers.runtime.records import Record
from recsys.neighbours import Neighbour
from recsys.neighbours.by_encoder import Feature
from recsys.neighbours.feature_search import FeatureSearch
from schemas.codec import decoder
from schemas.errors import ContractError
from schemas.events import ImageFeature, ProductCreated
from schemas.topics import IMAGE_FEATURES, PRODUCT_CREATED


class FeatureTable:
    """Keeps a ``FeatureSearch`` as the topics are; one thread may apply while others search."""

    def __init__(self) -> None:
        self._search = FeatureSearch()
        self._lock = threading.Lock()
        self._decode_feature = decoder(IMAGE_FEATURES.name)
        self._decode_product = decoder(PRODUCT_CREATED.name)

    def apply(self, records: Sequence[Record]) -> None:
        """Take records of the two topics, in order; unreadable ones are left out, a stage refuses them."""
        features: dict[str, ImageFeature | None] = {}
        products: dict[str, ProductCreated | None] = {}
        for record in records:
            if record.key is None or record.topic not in (IMAGE_FEATURES.name, PRODUCT_CREATED.name):
                continue
            key = record.key.decode(errors="replace")
            decode = self._decode_feature if record.topic == IMAGE_FEATURES.name else self._decode_product
            try:
                value = None if record.value is None else decode(record.value)
            except ContractError:
                continue
            if record.topic == IMAGE_FEATURES.name:
                features[key] = value if isinstance(value, ImageFeature) else None
            else:
                products[key] = value if isinstance(value, ProductCreated) else None
        if features or products:
            with self._lock:
                self._search.apply(features, products)

    def __len__(self) -> int:
        """How many products have a feature."""
        return len(self._search)

    def encoders(self) -> dict[str, int]:
        """How many products have a feature of each encoder."""
        with self._lock:
            return self._search.encoders()

    def search(self, feature: Feature, count: int, category: str | None = None) -> list[Neighbour]:
        """The nearest products that may be recommended; see ``FeatureSearch.search``."""
        with self._lock:
            return self._search.search(feature, count, category)
