"""Products whose features another encoder made, until their pictures have been embedded again."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from typing import NamedTuple

from consumers.runtime.records import Message
from schemas.events import ImageFeature, ProductCreated


class OutdatedFeature(NamedTuple):
    """A feature as it is published, and where the product's pictures are, the main one first; none if unknown."""

    partition: int
    feature: ImageFeature
    image_urls: Sequence[str]


class OutdatedFeatures:
    """What is to be embedded again, a shard a partition.

    Holds the vectors that wait, which are published once more beside the new ones: some 2.5 kB a product, for as
    long as it takes. Products are known from the inputs before the committed offset, and only while restoring.
    """

    def __init__(self, encoder_id: str) -> None:
        self._encoder_id = encoder_id
        self._features: dict[int, dict[str, ImageFeature]] = {}
        self._image_urls: dict[int, dict[str, Sequence[str]]] = {}
        self._waiting: dict[int, dict[str, OutdatedFeature]] = {}
        self._order: deque[tuple[int, str]] = deque()

    def __len__(self) -> int:
        return sum(len(shard) for shard in self._waiting.values())

    def restore_product(self, message: Message[ProductCreated]) -> None:
        """Take a product back as it was last dealt with."""
        shard = self._image_urls.setdefault(message.partition, {})
        if message.value is None or not message.value.image_url:
            shard.pop(message.key, None)
        else:
            shard[message.key] = (message.value.image_url, *message.value.other_image_urls)

    def restore_feature(self, message: Message[ImageFeature]) -> None:
        """Take a feature back; one that the encoder made, or could not make, is not outdated."""
        shard = self._features.setdefault(message.partition, {})
        if message.value is None or self._encoder_id in encoders_of(message.value):
            shard.pop(message.key, None)
        else:
            shard[message.key] = message.value

    def begin(self, partitions: Sequence[int]) -> set[str]:
        """These partitions are complete; returns the encoders that made what is outdated."""
        found: set[str] = set()
        for partition in partitions:
            urls = self._image_urls.pop(partition, {})
            shard = {
                product_id: OutdatedFeature(partition, feature, urls.get(product_id, ()))
                for product_id, feature in self._features.pop(partition, {}).items()
            }
            self._waiting[partition] = shard
            self._order.extend((partition, product_id) for product_id in shard)
            found.update(one.feature.encoder_id for one in shard.values())
        return found

    def next(self) -> OutdatedFeature | None:
        """The next one that is still waiting; it is the caller's from then on."""
        while self._order:
            partition, product_id = self._order.popleft()
            found = self._waiting.get(partition, {}).pop(product_id, None)
            if found is not None:
                return found
        return None

    def take(self, partition: int, product_id: str) -> OutdatedFeature | None:
        """The product's, if it is waiting, because it has a message of its own, which says more."""
        return self._waiting.get(partition, {}).pop(product_id, None)

    def without_picture(self) -> list[OutdatedFeature]:
        """Take those whose product is not known, so that nothing can be embedded."""
        lost = [one for shard in self._waiting.values() for one in shard.values() if not one.image_urls]
        for one in lost:
            del self._waiting[one.partition][one.feature.product_id]
        return lost

    def revoke(self, partitions: Collection[int]) -> None:
        """Drop these shards."""
        for partition in partitions:
            for shards in (self._features, self._image_urls, self._waiting):
                shards.pop(partition, None)
        self._order = deque(entry for entry in self._order if entry[0] not in partitions)


def encoders_of(feature: ImageFeature) -> frozenset[str]:
    """The encoders that have dealt with the product's picture."""
    return frozenset({feature.encoder_id, feature.earlier_encoder_id, feature.tried_encoder_id}) - {""}
