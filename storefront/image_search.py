"""Search by photo: what the HTTP edge needs, and how it is done with features followed as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from consumers.image_features.encoder import Encoder
from consumers.image_features.encoders import encoder_path
from consumers.image_features.photo_search import PHOTO_LIMITS, PhotoSearch
from consumers.image_features.settings import ImageSettings
from consumers.runtime.records import Record
from storefront.features import FeatureTable


class ImageSearch(Protocol):
    """Finds products whose pictures look like a photo; called on worker threads, several at a time."""

    def search(self, image_bytes: bytes, n: int, category: str | None) -> Sequence[tuple[str, float]]:
        """The ``n`` products that look most like the photo, best first, with their likeness up to 1.

        Raises an ``ImageError`` that says what is wrong with the photo.
        """
        ...


class FollowedImageSearch:
    """Searches the features that the image stage publishes; ``take`` follows them."""

    def __init__(self, settings: ImageSettings, max_image_bytes: int) -> None:
        # One thread: a photo may take a few milliseconds longer, and answers beside it do not.
        encoder = Encoder(encoder_path(settings.encoder, settings.encoders_dir), num_threads=1)
        self._features = FeatureTable()
        limits = PHOTO_LIMITS.model_copy(update={"max_bytes": min(PHOTO_LIMITS.max_bytes, max_image_bytes)})
        self._photos = PhotoSearch(encoder, self._features.search, limits)

    def take(self, records: Sequence[Record]) -> None:
        """Take records of the topics that features are found by, in order."""
        self._features.apply(records)

    def search(self, image_bytes: bytes, n: int, category: str | None) -> Sequence[tuple[str, float]]:
        """See ``ImageSearch``."""
        return [
            (found.product_id, found.score) for found in self._photos.search(image_bytes, n, category).products
        ]
