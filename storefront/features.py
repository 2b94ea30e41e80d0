"""The products as a photo is compared with them: features, products and what corrects hubs, as tables."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from consumers.runtime.records import Record
from consumers.similar_products.corrections import from_state
from recsys.neighbours import Neighbour
from recsys.neighbours.by_encoder import Feature
from recsys.neighbours.feature_search import FeatureSearch
from recsys.neighbours.hubness import Correction
from schemas.codec import decoder
from schemas.errors import ContractError
from schemas.events import ImageFeature, ProductCreated, SimilarState
from schemas.topics import IMAGE_FEATURES, PRODUCT_CREATED, SIMILAR_STATE

FOLLOWED = (PRODUCT_CREATED, SIMILAR_STATE, IMAGE_FEATURES)
"""The topics that a ``FeatureTable`` is made of."""


class FeatureTable:
    """Keeps a ``FeatureSearch`` as the topics are; one thread may apply while others search."""

    def __init__(self) -> None:
        self._search = FeatureSearch()
        self._lock = threading.Lock()
        self._decode = {topic.name: decoder(topic.name) for topic in FOLLOWED}

    def apply(self, records: Sequence[Record]) -> None:
        """Take records of these topics, in order; unreadable ones are left out, a stage refuses them."""
        features: dict[str, ImageFeature | None] = {}
        products: dict[str, ProductCreated | None] = {}
        corrections: dict[str, Correction | None] = {}
        for record in records:
            if record.key is None or record.topic not in self._decode:
                continue
            key = record.key.decode(errors="replace")
            try:
                value = None if record.value is None else self._decode[record.topic](record.value)
                if record.topic == SIMILAR_STATE.name:
                    corrections[key] = from_state(value) if isinstance(value, SimilarState) else None
            except ContractError:
                continue
            if record.topic == IMAGE_FEATURES.name:
                features[key] = value if isinstance(value, ImageFeature) else None
            elif record.topic == PRODUCT_CREATED.name:
                products[key] = value if isinstance(value, ProductCreated) else None
        if features or products or corrections:
            with self._lock:
                for encoder_id, correction in corrections.items():
                    self._search.correct(encoder_id, correction)
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
