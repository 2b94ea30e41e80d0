"""The stage: product-created in, image-features out.

A product's message is held back until its picture has been dealt with, so a crash fetches again what was
under way. Features are the state: restored from image-features, they say which picture of which product is
embedded already.
"""

from __future__ import annotations

import functools
import random
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from consumers.image_features.cleaning import clean, comparable_id
from consumers.image_features.encoder import Encoder
from consumers.image_features.encoders import encoder_path
from consumers.image_features.fetching import ImageFetcher
from consumers.image_features.pipeline import Failed, Fetched, ImagePipeline
from consumers.image_features.settings import ImageSettings
from consumers.runtime.outbox import Outbox
from consumers.runtime.records import Message
from consumers.runtime.stage import AnyMessage, Stage, StageSpec
from schemas.events import ImageFeature, ProductCreated
from schemas.topics import IMAGE_FEATURES, PRODUCT_CREATED

FETCH_COUNTER = "image_fetch"
"""Name under which outcomes are counted: embedded, same-picture, unchanged, retried, superseded, or an error's."""


class _Known(NamedTuple):
    """What a published feature was made of."""

    digest: bytes
    encoder_id: str
    category: str


class ImageFeaturesStage(Stage):
    """Fetches, cleans and embeds the pictures of products.

    A newer message of a product replaces one whose picture is still under way. A picture that cannot be used
    sends the message to the dead letters and leaves the product's earlier feature as it was; a product that is
    retired, or published without a picture, has its feature retracted.
    """

    spec = StageSpec("image-features", inputs=(PRODUCT_CREATED,), changelogs=(IMAGE_FEATURES,))

    def __init__(
        self,
        settings: ImageSettings | None = None,
        *,
        encoder: Encoder | None = None,
        now_seconds: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        settings = settings or ImageSettings()
        self._encoder = encoder or Encoder(encoder_path(settings.encoder, settings.encoders_dir))
        self.encoder_id = comparable_id(self._encoder)
        """Encoder and cleaning together: vectors with the same id are comparable."""
        self._embed_batch = settings.embed_batch
        self._fetcher = ImageFetcher(settings.fetch, settings.limits, settings.pipeline.fetchers)
        self._pipeline = ImagePipeline(
            self._fetcher.fetch,
            functools.partial(clean, limits=settings.limits, side=self._encoder.side),
            settings.pipeline,
            settings.retry,
            now_seconds=now_seconds,
            rng=rng,
        )
        self._vectors = _RecentVectors(settings.remembered_vectors)
        self._known: dict[int, dict[str, _Known]] = {}
        self._waiting: dict[str, Message[ProductCreated]] = {}
        self._retries_counted = 0

    def process(self, messages: Sequence[AnyMessage], out: Outbox) -> None:
        """Begin with the pictures of these products; features follow in ``poll``."""
        for message in messages:
            self._supersede(message.key, out)
            if message.value is not None and message.value.image_url:
                self._waiting[message.key] = message
                out.defer(message)
                self._pipeline.submit(message.key, message.value.image_url)
            else:
                self._retract(message, out)

    def poll(self, out: Outbox) -> None:
        """Embed the pictures that are ready, and publish their features."""
        fetched: list[Fetched] = []
        for outcome in self._pipeline.ready(self._embed_batch):
            if isinstance(outcome, Failed):
                message = self._settle(outcome.ref, out)
                out.refuse(message, outcome.error)
                out.observe(FETCH_COUNTER, outcome.error.outcome)
            elif self._is_published(outcome):
                self._settle(outcome.ref, out)
                out.observe(FETCH_COUNTER, "unchanged")
            else:
                fetched.append(outcome)
        self._count_retries(out)
        if fetched:
            self._publish(fetched, out)

    def capacity(self) -> int:
        """As many messages as pictures may be under way."""
        return self._pipeline.free

    def busy(self) -> bool:
        """True while pictures are under way."""
        return self._pipeline.pending > 0

    def restore(self, messages: Sequence[AnyMessage]) -> None:
        """Take back what was published."""
        for message in messages:
            shard = self._known.setdefault(message.partition, {})
            feature: ImageFeature | None = message.value
            if feature is None:
                shard.pop(message.key, None)
                continue
            shard[message.key] = _Known(feature.image_digest, feature.encoder_id, feature.category)
            if feature.encoder_id == self.encoder_id:
                self._vectors.put(feature.image_digest, feature.vector)

    def revoke(self, partitions: Sequence[int]) -> None:
        """Forget the pictures under way and the state of these partitions."""
        for partition in partitions:
            self._known.pop(partition, None)
        lost = [key for key, message in self._waiting.items() if message.partition in partitions]
        for key in lost:
            del self._waiting[key]
            self._pipeline.cancel(key)

    def close(self) -> None:
        """End the downloads."""
        self._pipeline.close()
        self._fetcher.close()

    def _supersede(self, product_id: str, out: Outbox) -> None:
        older = self._waiting.pop(product_id, None)
        if older is not None:
            self._pipeline.cancel(product_id)
            out.settle(older)
            out.observe(FETCH_COUNTER, "superseded")

    def _settle(self, product_id: str, out: Outbox) -> Message[ProductCreated]:
        message = self._waiting.pop(product_id)
        out.settle(message)
        return message

    def _retract(self, message: AnyMessage, out: Outbox) -> None:
        if self._known.get(message.partition, {}).pop(message.key, None) is not None:
            out.retract(IMAGE_FEATURES, message.key, partition=message.partition)

    def _known_as(self, message: Message[ProductCreated], digest: bytes) -> _Known:
        return _Known(digest, self.encoder_id, message.value.category)

    def _is_published(self, fetched: Fetched) -> bool:
        message = self._waiting[fetched.ref]
        known = self._known.get(message.partition, {}).get(fetched.ref)
        return known == self._known_as(message, fetched.digest)

    def _publish(self, fetched: Sequence[Fetched], out: Outbox) -> None:
        vectors = self._embed(fetched, out)
        for picture in fetched:
            message = self._settle(picture.ref, out)
            known = self._known_as(message, picture.digest)
            self._known.setdefault(message.partition, {})[message.key] = known
            feature = ImageFeature(
                product_id=message.key,
                event_time_ms=message.value.event_time_ms,
                encoder_id=known.encoder_id,
                image_digest=known.digest,
                category=known.category,
                vector=vectors[picture.digest],
                caused_by=message.cause,
                caused_at_ms=message.timestamp_ms,
            )
            out.publish(feature, partition=message.partition)

    def _embed(self, fetched: Sequence[Fetched], out: Outbox) -> dict[bytes, bytes]:
        """Vectors by digest; each picture that is not remembered goes through the encoder once."""
        of_digest = {picture.digest: picture.pixels for picture in fetched}
        vectors = {digest: vector for digest in of_digest if (vector := self._vectors.get(digest)) is not None}
        new = [digest for digest in of_digest if digest not in vectors]
        if new:
            rows = self._encoder.embed(np.stack([of_digest[digest] for digest in new])).astype("<f2")
            vectors.update((digest, row.tobytes()) for digest, row in zip(new, rows, strict=True))
        for digest in new:
            self._vectors.put(digest, vectors[digest])
        counts = Counter({"embedded": len(new), "same-picture": len(fetched) - len(new)})
        for outcome, amount in (+counts).items():
            out.observe(FETCH_COUNTER, outcome, amount)
        return vectors

    def _count_retries(self, out: Outbox) -> None:
        retries, self._retries_counted = self._pipeline.retries - self._retries_counted, self._pipeline.retries
        if retries:
            out.observe(FETCH_COUNTER, "retried", retries)


class _RecentVectors:
    """The vectors of the pictures seen last, by digest, for a photograph that several products share."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._vectors: OrderedDict[bytes, bytes] = OrderedDict()

    def get(self, digest: bytes) -> bytes | None:
        vector = self._vectors.get(digest)
        if vector is not None:
            self._vectors.move_to_end(digest)
        return vector

    def put(self, digest: bytes, vector: bytes) -> None:
        self._vectors[digest] = vector
        self._vectors.move_to_end(digest)
        while len(self._vectors) > self._limit:
            self._vectors.popitem(last=False)
