"""What is remembered of a published feature: enough to see whether another would be the same."""

from __future__ import annotations

from typing import NamedTuple

from consumers.image_features.product_pictures import Digests
from schemas.events import ImageFeature


class Known(NamedTuple):
    """What a published feature was made of."""

    digests: Digests
    main_weight: float
    encoder_ids: frozenset[str]
    category: str


def known_of(feature: ImageFeature) -> Known:
    """The same of a feature."""
    vectors_of = frozenset({feature.encoder_id, feature.earlier_encoder_id})
    return Known(digests_of(feature), feature.main_weight, vectors_of, feature.category)


def digests_of(feature: ImageFeature) -> Digests:
    """Digests of the pictures of a feature, the main one's first."""
    return (feature.image_digest, *feature.other_digests)
