"""The stage: product-created in, image-features out.

A product's message is held back until its picture has been dealt with, so a crash fetches again what was
under way. Features are the state: restored from image-features, they say which picture of which product is
embedded already.

Where they are another encoder's, the pictures are embedded again in the background, beside what comes in. A
feature then holds the vectors of both encoders, so that the lists of one of them are always whole.
"""

from __future__ import annotations

import functools
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import NamedTuple

from consumers.image_features.cleaning import clean
from consumers.image_features.embedder import Embedder
from consumers.image_features.encoder import Encoder
from consumers.image_features.encoders import encoder_file_of, encoder_path
from consumers.image_features.fetching import ImageFetcher
from consumers.image_features.outdated import OutdatedFeature, OutdatedFeatures
from consumers.image_features.pipeline import Failed, Fetched, ImagePipeline
from consumers.image_features.settings import ImageSettings
from consumers.runtime.outbox import Outbox
from consumers.runtime.records import Message
from consumers.runtime.stage import AnyMessage, Stage, StageSpec
from schemas.events import ImageFeature, ProductCreated
from schemas.topics import IMAGE_FEATURES, PRODUCT_CREATED

FETCH_COUNTER = "image_fetch"
"""Name under which outcomes are counted: embedded, same-picture, unchanged, retried, superseded, or an error's;
of pictures embedded again: embedded-again, or again- and an error's."""


_log = logging.getLogger(__name__)


class _Known(NamedTuple):
    """What a published feature was made of."""

    digest: bytes
    encoder_ids: frozenset[str]
    category: str


def _known(feature: ImageFeature) -> _Known:
    vectors_of = frozenset({feature.encoder_id, feature.earlier_encoder_id})
    return _Known(feature.image_digest, vectors_of, feature.category)


class ImageFeaturesStage(Stage):
    """Fetches, cleans and embeds the pictures of products.

    A newer message of a product replaces one whose picture is still under way. A picture that cannot be used
    sends the message to the dead letters and leaves the product's earlier feature as it was; a product that is
    retired, or published without a picture, has its feature retracted.
    """

    spec = StageSpec(
        "image-features", inputs=(PRODUCT_CREATED,), changelogs=(IMAGE_FEATURES,), source_changelog=True
    )

    def __init__(
        self,
        settings: ImageSettings | None = None,
        *,
        encoder: Encoder | None = None,
        now_seconds: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        settings = settings or ImageSettings()
        encoder = encoder or Encoder(encoder_path(settings.encoder, settings.encoders_dir))
        self._embedder = Embedder(encoder, settings.remembered_vectors)
        self.encoder_id = self._embedder.encoder_id
        """Encoder and cleaning together: vectors with the same id are comparable."""
        self._settings = settings
        self._earlier: Embedder | None = None
        self._outdated = OutdatedFeatures(self.encoder_id)
        self._embedded_again: dict[str, OutdatedFeature] = {}
        self._held: dict[str, OutdatedFeature] = {}
        self._fetcher = ImageFetcher(settings.fetch, settings.limits, settings.pipeline.fetchers)
        self._pipeline = ImagePipeline(
            self._fetcher.fetch,
            functools.partial(clean, limits=settings.limits, side=encoder.side),
            settings.pipeline,
            settings.retry,
            now_seconds=now_seconds,
            rng=rng,
        )
        self._known: dict[int, dict[str, _Known]] = {}
        self._waiting: dict[str, Message[ProductCreated]] = {}
        self._retries_counted = 0

    def process(self, messages: Sequence[AnyMessage], out: Outbox) -> None:
        """Begin with the pictures of these products; features follow in ``poll``."""
        for message in messages:
            self._supersede(message, out)
            if message.value is not None and message.value.image_url:
                self._waiting[message.key] = message
                out.defer(message)
                self._pipeline.submit(message.key, message.value.image_url)
            else:
                self._retract(message, out)

    def poll(self, out: Outbox) -> None:
        """Embed the pictures that are ready, and publish their features."""
        fetched: list[Fetched] = []
        again: list[Fetched] = []
        for outcome in self._pipeline.ready(self._settings.embed_batch):
            if outcome.ref in self._embedded_again:
                if isinstance(outcome, Fetched):
                    again.append(outcome)
                else:
                    self._mark_tried(self._embedded_again.pop(outcome.ref), out)
                    out.observe(FETCH_COUNTER, f"again-{outcome.error.outcome}")
            elif isinstance(outcome, Failed):
                held = self._held.pop(outcome.ref, None)
                message = self._settle(outcome.ref, out)
                out.refuse(message, outcome.error)
                if held is not None:
                    self._mark_tried(held, out)
                out.observe(FETCH_COUNTER, outcome.error.outcome)
            elif self._is_published(outcome):
                self._settle(outcome.ref, out)
                out.observe(FETCH_COUNTER, "unchanged")
            else:
                fetched.append(outcome)
        self._count_retries(out)
        if fetched:
            self._publish(fetched, out)
        if again:
            self._publish_again(again, out)
        self._submit_outdated()

    def capacity(self) -> int:
        """As many messages as pictures may be under way."""
        return self._pipeline.free

    def busy(self) -> bool:
        """True while pictures are under way or wait to be embedded again."""
        return self._pipeline.pending > 0 or len(self._outdated) > 0

    def restore(self, messages: Sequence[AnyMessage]) -> None:
        """Take back what was published."""
        for message in messages:
            if message.topic == PRODUCT_CREATED.name:
                self._outdated.restore_product(message)
                continue
            self._outdated.restore_feature(message)
            shard = self._known.setdefault(message.partition, {})
            feature: ImageFeature | None = message.value
            if feature is None:
                shard.pop(message.key, None)
                continue
            shard[message.key] = _known(feature)
            if feature.encoder_id == self.encoder_id:
                self._embedder.remember(feature.image_digest, feature.vector)

    def restored(self, partitions: Sequence[int], out: Outbox) -> None:
        """Begin to embed again what another encoder made."""
        others = self._outdated.begin(partitions)
        if others and self._earlier is None:
            self._earlier = self._find_earlier(others)
        for one in self._outdated.without_picture():
            self._mark_tried(one, out)

    def revoke(self, partitions: Sequence[int]) -> None:
        """Forget the pictures under way and the state of these partitions."""
        for partition in partitions:
            self._known.pop(partition, None)
        self._outdated.revoke(partitions)
        for key in [key for key, one in self._embedded_again.items() if one.partition in partitions]:
            del self._embedded_again[key]
            self._pipeline.cancel(key)
        self._held = {key: one for key, one in self._held.items() if one.partition not in partitions}
        lost = [key for key, message in self._waiting.items() if message.partition in partitions]
        for key in lost:
            del self._waiting[key]
            self._pipeline.cancel(key)

    def close(self) -> None:
        """End the downloads."""
        self._pipeline.close()
        self._fetcher.close()

    def _supersede(self, message: AnyMessage, out: Outbox) -> None:
        again = self._embedded_again.pop(message.key, None)
        if again is not None:
            self._pipeline.cancel(message.key)
        again = again or self._outdated.take(message.partition, message.key)
        if again is not None:
            self._held[message.key] = again  # should the new picture fail, the old feature stays
        older = self._waiting.pop(message.key, None)
        if older is not None:
            self._pipeline.cancel(message.key)
            out.settle(older)
            out.observe(FETCH_COUNTER, "superseded")

    def _settle(self, product_id: str, out: Outbox) -> Message[ProductCreated]:
        message = self._waiting.pop(product_id)
        self._held.pop(product_id, None)
        out.settle(message)
        return message

    def _retract(self, message: AnyMessage, out: Outbox) -> None:
        self._held.pop(message.key, None)
        if self._known.get(message.partition, {}).pop(message.key, None) is not None:
            out.retract(IMAGE_FEATURES, message.key, partition=message.partition)

    def _is_published(self, fetched: Fetched) -> bool:
        message = self._waiting[fetched.ref]
        known = self._known.get(message.partition, {}).get(fetched.ref)
        return (
            known is not None
            and self.encoder_id in known.encoder_ids
            and (known.digest, known.category) == (fetched.digest, message.value.category)
        )

    def _publish(self, fetched: Sequence[Fetched], out: Outbox) -> None:
        vectors = self._embed(fetched, out)
        earlier = {} if self._earlier is None else self._earlier.embed(fetched).vectors
        for picture in fetched:
            held = self._held.get(picture.ref)
            message = self._settle(picture.ref, out)
            feature = ImageFeature(
                product_id=message.key,
                event_time_ms=message.value.event_time_ms,
                encoder_id=self.encoder_id,
                image_digest=picture.digest,
                category=message.value.category,
                vector=vectors[picture.digest],
                caused_by=message.cause,
                caused_at_ms=message.timestamp_ms,
            )
            if self._earlier is not None:
                before = (self._earlier.encoder_id, earlier[picture.digest])
            elif held is not None and held.feature.image_digest == picture.digest:
                before = (held.feature.encoder_id, held.feature.vector)
            else:
                before = ("", b"")
            feature = replace(feature, earlier_encoder_id=before[0], earlier_vector=before[1])
            self._put(feature, message.partition, out)

    def _publish_again(self, fetched: Sequence[Fetched], out: Outbox) -> None:
        """The features of another encoder with the vectors of this one, and their own kept beside."""
        vectors = self._embed(fetched, out)
        for picture in fetched:
            partition, before, _ = self._embedded_again.pop(picture.ref)
            feature = replace(
                before,
                encoder_id=self.encoder_id,
                image_digest=picture.digest,
                vector=vectors[picture.digest],
                earlier_encoder_id=before.encoder_id,
                earlier_vector=before.vector,
                tried_encoder_id="",
            )
            self._put(feature, partition, out)
            out.observe(FETCH_COUNTER, "embedded-again")

    def _mark_tried(self, one: OutdatedFeature, out: Outbox) -> None:
        """Say that the encoder has been tried, so that the others need not wait for a picture that is gone."""
        self._put(replace(one.feature, tried_encoder_id=self.encoder_id), one.partition, out)

    def _put(self, feature: ImageFeature, partition: int, out: Outbox) -> None:
        self._known.setdefault(partition, {})[feature.product_id] = _known(feature)
        out.publish(feature, partition=partition)

    def _submit_outdated(self) -> None:
        """Keep some pictures under way, but leave half of the room to new products."""
        most = min(self._settings.re_embedded_at_once, self._settings.pipeline.capacity // 2)
        while len(self._embedded_again) < most and self._pipeline.free > most:
            one = self._outdated.next()
            if one is None:
                return
            self._embedded_again[one.feature.product_id] = one
            self._pipeline.submit(one.feature.product_id, one.image_url)

    def _find_earlier(self, encoder_ids: Collection[str]) -> Embedder | None:
        """The encoder before, for new products until the lists have changed over."""
        for encoder_id in sorted(encoder_ids):
            path = encoder_file_of(encoder_id, self._settings)
            if path is not None:
                return Embedder(Encoder(path), self._settings.remembered_vectors)
        _log.warning(
            "no file of the encoder %s is here: new products have no list until all are embedded again; "
            "name it as images.previous_encoder",
            ", ".join(sorted(encoder_ids)),
        )
        return None

    def _embed(self, fetched: Sequence[Fetched], out: Outbox) -> dict[bytes, bytes]:
        vectors, new = self._embedder.embed(fetched)
        counts = Counter({"embedded": new, "same-picture": len(fetched) - new})
        for outcome, amount in (+counts).items():
            out.observe(FETCH_COUNTER, outcome, amount=amount)
        return vectors

    def _count_retries(self, out: Outbox) -> None:
        retries, self._retries_counted = self._pipeline.retries - self._retries_counted, self._pipeline.retries
        if retries:
            out.observe(FETCH_COUNTER, "retried", amount=retries)
