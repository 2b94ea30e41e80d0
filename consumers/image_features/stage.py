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

from consumers.image_features.cleaning import clean
from consumers.image_features.embedder import Embedder
from consumers.image_features.encoder import Encoder
from consumers.image_features.encoders import encoder_file_of, encoder_path
from consumers.image_features.fetching import ImageFetcher
from consumers.image_features.outdated import OutdatedFeature, OutdatedFeatures
from consumers.image_features.pipeline import ImagePipeline
from consumers.image_features.product_pictures import Digests, Pictures, ProductPictures, WithoutMain
from consumers.image_features.published import Known, digests_of, known_of
from consumers.image_features.settings import ImageSettings
from consumers.runtime.outbox import Outbox
from consumers.runtime.records import Message
from consumers.runtime.stage import AnyMessage, Stage, StageSpec
from schemas.events import ImageFeature, ProductCreated
from schemas.topics import IMAGE_FEATURES, PRODUCT_CREATED

FETCH_COUNTER = "image_fetch"
"""Name under which outcomes are counted: embedded, same-picture, unchanged, retried, superseded, or an error's;
of pictures beside the main one, other- and an error's; of products embedded again, embedded-again, or again- and
an error's."""


_log = logging.getLogger(__name__)


class ImageFeaturesStage(Stage):
    """Fetches, cleans and embeds the pictures of products.

    A newer message of a product replaces one whose picture is still under way. A main picture that cannot be used
    sends the message to the dead letters and leaves the product's earlier feature as it was; another one is done
    without. A product that is retired, or published without a main picture, has its feature retracted.
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
        self._pictures = ProductPictures(
            ImagePipeline(
                self._fetcher.fetch,
                functools.partial(clean, limits=settings.limits, side=encoder.side),
                settings.pipeline,
                settings.retry,
                now_seconds=now_seconds,
                rng=rng,
            )
        )
        self._known: dict[int, dict[str, Known]] = {}
        self._waiting: dict[str, Message[ProductCreated]] = {}
        self._retries_counted = 0

    def process(self, messages: Sequence[AnyMessage], out: Outbox) -> None:
        """Begin with the pictures of these products; features follow in ``poll``."""
        for message in messages:
            self._supersede(message, out)
            if message.value is not None and message.value.image_url:
                self._waiting[message.key] = message
                out.defer(message)
                self._submit(message.key, (message.value.image_url, *message.value.other_image_urls))
            else:
                self._retract(message, out)

    def poll(self, out: Outbox) -> None:
        """Embed the pictures that are ready, and publish their features."""
        fetched: list[Pictures] = []
        again: list[Pictures] = []
        for outcome in self._pictures.ready(self._settings.embed_batch):
            if isinstance(outcome, WithoutMain):
                self._give_up(outcome, out)
                continue
            for error in outcome.given_up:
                out.observe(FETCH_COUNTER, f"other-{error.outcome}")
            if outcome.product_id in self._embedded_again:
                again.append(outcome)
            elif self._is_published(outcome):
                self._settle(outcome, out)
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
        return self._pictures.free

    def busy(self) -> bool:
        """True while pictures are under way or wait to be embedded again."""
        return self._pictures.pending > 0 or len(self._outdated) > 0

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
            shard[message.key] = known_of(feature)
            if feature.encoder_id == self.encoder_id and not feature.other_digests:
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
            self._pictures.cancel(key)
        self._held = {key: one for key, one in self._held.items() if one.partition not in partitions}
        lost = [key for key, message in self._waiting.items() if message.partition in partitions]
        for key in lost:
            del self._waiting[key]
            self._pictures.cancel(key)

    def close(self) -> None:
        """End the downloads."""
        self._pictures.close()
        self._fetcher.close()

    def _supersede(self, message: AnyMessage, out: Outbox) -> None:
        again = self._embedded_again.pop(message.key, None)
        if again is not None:
            self._pictures.cancel(message.key)
        again = again or self._outdated.take(message.partition, message.key)
        if again is not None:
            self._held[message.key] = again  # should the new picture fail, the old feature stays
        older = self._waiting.pop(message.key, None)
        if older is not None:
            self._pictures.cancel(message.key)
            out.settle(older)
            out.observe(FETCH_COUNTER, "superseded")

    def _submit(self, product_id: str, image_urls: Sequence[str]) -> None:
        self._pictures.submit(product_id, image_urls[: 1 + self._settings.max_other_images])

    def _give_up(self, outcome: WithoutMain, out: Outbox) -> None:
        again = self._embedded_again.pop(outcome.product_id, None)
        if again is not None:
            self._mark_tried(again, out)
            out.observe(FETCH_COUNTER, f"again-{outcome.error.outcome}")
            return
        message = self._waiting.pop(outcome.product_id)
        held = self._held.pop(outcome.product_id, None)
        out.settle(message)
        out.refuse(message, outcome.error)
        if held is not None:
            self._mark_tried(held, out)
        out.observe(FETCH_COUNTER, outcome.error.outcome)

    def _settle(self, pictures: Pictures, out: Outbox) -> None:
        """Done with a product's message, unless more of its pictures are to come."""
        if pictures.complete:
            self._held.pop(pictures.product_id, None)
            out.settle(self._waiting.pop(pictures.product_id))

    def _retract(self, message: AnyMessage, out: Outbox) -> None:
        self._held.pop(message.key, None)
        if self._known.get(message.partition, {}).pop(message.key, None) is not None:
            out.retract(IMAGE_FEATURES, message.key, partition=message.partition)

    def _is_published(self, pictures: Pictures) -> bool:
        message = self._waiting[pictures.product_id]
        known = self._known.get(message.partition, {}).get(pictures.product_id)
        return (
            known is not None
            and self.encoder_id in known.encoder_ids
            and (known.digests, known.category) == (pictures.digests, message.value.category)
            and known.main_weight == self._main_weight(pictures)
        )

    def _main_weight(self, pictures: Pictures) -> float:
        return self._settings.main_weight if pictures.others else 1.0

    def _publish(self, fetched: Sequence[Pictures], out: Outbox) -> None:
        vectors = self._embed(fetched, out)
        earlier: dict[Digests, bytes] = {}
        if self._earlier is not None:
            earlier = self._earlier.embed_products(fetched, self._settings.main_weight).vectors
        for pictures in fetched:
            message = self._waiting[pictures.product_id]
            held = self._held.get(pictures.product_id)
            if self._earlier is not None:
                before = (self._earlier.encoder_id, earlier[pictures.digests])
            elif held is not None and digests_of(held.feature) == pictures.digests:
                before = (held.feature.encoder_id, held.feature.vector)
            else:
                before = ("", b"")
            feature = ImageFeature(
                product_id=message.key,
                event_time_ms=message.value.event_time_ms,
                encoder_id=self.encoder_id,
                image_digest=pictures.main.digest,
                category=message.value.category,
                vector=vectors[pictures.digests],
                caused_by=message.cause,
                caused_at_ms=message.timestamp_ms,
                earlier_encoder_id=before[0],
                earlier_vector=before[1],
                other_digests=pictures.digests[1:],
                main_weight=self._main_weight(pictures),
            )
            self._settle(pictures, out)
            self._put(feature, message.partition, out)

    def _publish_again(self, fetched: Sequence[Pictures], out: Outbox) -> None:
        """The features of another encoder with the vectors of this one, and their own kept beside."""
        vectors = self._embed(fetched, out)
        for pictures in fetched:
            one = self._embedded_again[pictures.product_id]
            feature = replace(
                one.feature,
                encoder_id=self.encoder_id,
                image_digest=pictures.main.digest,
                vector=vectors[pictures.digests],
                earlier_encoder_id=one.feature.encoder_id,
                earlier_vector=one.feature.vector,
                tried_encoder_id="",
                other_digests=pictures.digests[1:],
                main_weight=self._main_weight(pictures),
            )
            self._put(feature, one.partition, out)
            if pictures.complete:
                del self._embedded_again[pictures.product_id]
                out.observe(FETCH_COUNTER, "embedded-again")

    def _mark_tried(self, one: OutdatedFeature, out: Outbox) -> None:
        """Say that the encoder has been tried, so that the others need not wait for a picture that is gone."""
        self._put(replace(one.feature, tried_encoder_id=self.encoder_id), one.partition, out)

    def _put(self, feature: ImageFeature, partition: int, out: Outbox) -> None:
        self._known.setdefault(partition, {})[feature.product_id] = known_of(feature)
        out.publish(feature, partition=partition)

    def _submit_outdated(self) -> None:
        """Keep some pictures under way, but leave half of the room to new products."""
        most = min(self._settings.re_embedded_at_once, self._settings.pipeline.capacity // 2)
        while len(self._embedded_again) < most and self._pictures.free > most:
            one = self._outdated.next()
            if one is None:
                return
            self._embedded_again[one.feature.product_id] = one
            self._submit(one.feature.product_id, one.image_urls)

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

    def _embed(self, fetched: Sequence[Pictures], out: Outbox) -> dict[Digests, bytes]:
        """The vectors of products, by the digests of their pictures."""
        vectors, new = self._embedder.embed_products(fetched, self._settings.main_weight)
        counts = Counter({"embedded": new, "same-picture": sum(len(one.digests) for one in fetched) - new})
        for outcome, amount in (+counts).items():
            out.observe(FETCH_COUNTER, outcome, amount=amount)
        return vectors

    def _count_retries(self, out: Outbox) -> None:
        retries, self._retries_counted = self._pictures.retries - self._retries_counted, self._pictures.retries
        if retries:
            out.observe(FETCH_COUNTER, "retried", amount=retries)
