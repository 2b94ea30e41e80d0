"""The stage: image-features in, a list of similar products for each out.

The features are the state, so the input is its own changelog. The lists depend on the latest features, the
catalogue, and what was learnt of the features to correct hubs, which is on similar-state; the stage's own lists on
recommendation-updated say which revision readers have. After a restart
or an aborted transaction, lists are computed anew and only those that differ are published.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from consumers.runtime.causes import NO_CAUSE, Cause
from consumers.runtime.outbox import Outbox
from consumers.runtime.stage import AnyMessage, Stage, StageSpec
from consumers.similar_products.corrections import from_state, to_state
from consumers.similar_products.settings import SimilarProductsSettings
from recsys.catalogue import Catalogue
from recsys.neighbours import Neighbour
from recsys.neighbours.by_encoder import Feature, NeighboursByEncoder
from recsys.neighbours.feature_vectors import InvalidVectorError, read_feature
from schemas.errors import InvalidEventError
from schemas.events import ImageFeature, Kind, ListedProduct, Reason, RecommendationUpdated
from schemas.topics import IMAGE_FEATURES, PRODUCT_CREATED, RECOMMENDATION_UPDATED, SIMILAR_STATE

_MEASURED_EVERY = 50
"""Batches from one measurement to the next."""
_OWN_LISTS = f"{Kind.SIMILAR}:"


class _Published(NamedTuple):
    """A list as readers have it."""

    revision: int
    content: int
    """Hash of products and scores."""
    encoder_id: str


class SimilarProductsStage(Stage):
    """Keeps every product's nearest neighbours, and publishes each list that changes.

    Products in the catalogue have a list, and those of them in stock stand in lists. A list without products is
    withdrawn. A product is compared with those that the same encoder looked at. One whose latest feature cannot be
    read has none.

    ``encoder_id`` is the encoder that the shop wants (see ``NeighboursByEncoder``): lists change over to it in one
    transaction once every product is dealt with. Lists say their encoder, so a restart goes on as it was.
    """

    spec = StageSpec(
        "similar-products",
        inputs=(IMAGE_FEATURES,),
        tables=(PRODUCT_CREATED,),
        changelogs=(SIMILAR_STATE, RECOMMENDATION_UPDATED),
        source_changelog=True,
        sole_owner=True,
    )

    def __init__(self, settings: SimilarProductsSettings | None = None, encoder_id: str | None = None) -> None:
        self._settings = settings or SimilarProductsSettings()
        self._wanted = encoder_id
        self._catalogue = Catalogue()
        self._neighbours = self._empty()
        self._published: dict[str, _Published] = {}
        self._newest = NO_CAUSE
        self._unconfirmed: set[str] = set()
        self._unconfirmed_corrections: set[str] = set()
        self._owner = False
        self._until_measured = 0

    def wants(self, topic: str, key: str) -> bool:
        """Of recommendation-updated, only the stage's own lists."""
        return topic != RECOMMENDATION_UPDATED.name or key.startswith(_OWN_LISTS)

    def capacity(self) -> int:
        """As many features as are compared in a few passes over the catalogue."""
        return self._settings.batch_products

    def process(self, messages: Sequence[AnyMessage], out: Outbox) -> None:
        """Take new features; every list that this changes is published."""
        causes = {message.key: self._cause_of(message) for message in messages}
        left: set[str] = set()
        at = 0
        while at < len(messages):
            part = messages[at : at + self._room(len(messages))]
            left |= self._apply(self._read(part, out), self._listable(message.key for message in part))
            self._learn(causes[part[-1].key], out)
            at += len(part)
        self._publish(left, causes, out)
        self._measure(out)

    def follow(self, messages: Sequence[AnyMessage], out: Outbox) -> None:
        """Take the catalogue as it is now; lists change where a product comes, goes, or is out of stock."""
        causes: dict[str, Cause] = {}
        for message in messages:
            if self._catalogue.put(message.key, message.value) is not None:
                causes[message.key] = self._cause_of(message)
        if self._owner and causes:
            self._apply({}, self._listable(causes))
            self._publish(causes, causes, out)

    def restore(self, messages: Sequence[AnyMessage]) -> None:
        """Take features back, and which lists are published."""
        features: list[AnyMessage] = []
        for message in messages:
            if message.topic == IMAGE_FEATURES.name:
                features.append(message)
                self._cause_of(message)
            elif message.topic == SIMILAR_STATE.name:
                self._restore_correction(message)
            elif message.value is None:
                self._published.pop(message.key.removeprefix(_OWN_LISTS), None)
            else:
                self._published[message.value.subject] = _published(message.value)
        self._unconfirmed.difference_update(message.key for message in features)
        self._apply(self._read(features, None), self._listable(message.key for message in features))

    def restored(self, partitions: Sequence[int], out: Outbox) -> None:
        """Begin to publish, with the lists that are not as they should be."""
        if not partitions:
            return
        self._owner = True
        served = Counter(list_.encoder_id for list_ in self._published.values() if list_.encoder_id)
        if served:
            self._neighbours.serve(max(served, key=lambda encoder_id: (served[encoder_id], encoder_id)))
        self._apply(dict.fromkeys(self._unconfirmed | set(self._neighbours.misfits())), {})
        self._apply({}, self._listable(self._neighbours))
        self._unconfirmed.clear()
        for encoder_id in self._unconfirmed_corrections:
            self._neighbours.correct(encoder_id, None)
        self._unconfirmed_corrections.clear()
        self._learn(self._newest, out)
        self._publish({*self._neighbours, *self._published}, {}, out)

    def revoke(self, partitions: Sequence[int]) -> None:
        """Stop publishing. Lists stay, to save their computation: a restore confirms or corrects them."""
        self._owner = False
        self._published.clear()
        self._unconfirmed = set(self._neighbours)
        self._unconfirmed_corrections = set(self._neighbours.corrections)

    def _empty(self) -> NeighboursByEncoder:
        return NeighboursByEncoder(self._settings.make_index, self._settings.learn_at(), self._wanted)

    def _room(self, messages: int) -> int:
        """How many of so many messages can be taken before it may be due to learn something."""
        return int(max(1, min(self._neighbours.room(), messages)))

    def _learn(self, cause: Cause, out: Outbox) -> None:
        """Where there are so many features that it is due, learn what corrects hubs; all lists follow."""
        for encoder_id, correction in self._neighbours.learn().items():
            out.publish(to_state(encoder_id, correction, cause))

    def _restore_correction(self, message: AnyMessage) -> None:
        try:
            correction = None if message.value is None else from_state(message.value)
        except InvalidEventError:
            correction = None  # it is learnt again
        self._unconfirmed_corrections.discard(message.key)
        known = self._neighbours.corrections.get(message.key)
        if known != correction and self._settings.correct_hubs:
            self._neighbours.correct(message.key, correction)

    def _measure(self, out: Outbox) -> None:
        """Now and then, for it looks at every list."""
        self._until_measured -= 1
        condition = self._neighbours.condition() if self._until_measured <= 0 else None
        if condition is not None:
            self._until_measured = _MEASURED_EVERY
            out.measure("neighbour_recall", condition.recall)
            out.measure("largest_in_degree", condition.largest_in_degree)
            out.measure("in_no_list_share", condition.in_no_list_share)

    def _read(self, messages: Sequence[AnyMessage], out: Outbox | None) -> dict[str, Feature | None]:
        """The latest feature of each product, None for one that is no more or that cannot be read.

        With an ``out``, unreadable ones are refused, and those of another length than their encoder's others.
        """
        usual: dict[str, int] = {}
        features: dict[str, Feature | None] = {}
        for message in messages:
            value: ImageFeature | None = message.value
            features[message.key] = None
            if value is None:
                continue
            dimensions = usual.get(value.encoder_id) or self._neighbours.dimensions(value.encoder_id)
            try:
                feature = read_feature(value, None if out is None else dimensions)
            except InvalidVectorError as error:
                if out is not None:
                    out.refuse(message, error)
            else:
                features[message.key] = feature
                usual[value.encoder_id] = len(feature.vector)
        return features

    def _listable(self, product_ids: Iterable[str]) -> dict[str, bool]:
        return {product_id: self._catalogue.is_recommendable(product_id) for product_id in product_ids}

    def _categories(self, product_ids: Iterable[str]) -> dict[str, str]:
        return {product_id: self._catalogue.category_of(product_id) or "" for product_id in product_ids}

    def _apply(self, features: Mapping[str, Feature | None], listable: Mapping[str, bool]) -> set[str]:
        categories = {} if self._settings.scope == "any" else self._categories(listable)
        try:
            return self._neighbours.apply(features, listable, categories)
        except Exception:
            self._neighbours = self._empty()  # it may be half changed; what restores it begins with nothing
            raise

    def _cause_of(self, message: AnyMessage) -> Cause:
        value = message.value
        if isinstance(value, ImageFeature):
            cause = Cause(value.caused_at_ms, value.caused_by, value.event_time_ms)
        else:
            cause = Cause.of(message)
        self._newest = max(self._newest, cause)
        return cause

    def _publish(self, also: Collection[str], causes: Mapping[str, Cause], out: Outbox) -> None:
        """Publish what changed; ``also`` names products whose list may be due for another reason."""
        newest = max(causes.values(), default=self._newest)
        self._neighbours.settle()
        for product_id in sorted({*self._neighbours.take_changed(), *also}):
            items = self._neighbours.neighbours(product_id) if product_id in self._catalogue else []
            earlier = self._published.get(product_id)
            if items:
                involved = [causes[i] for i in (product_id, *(item.product_id for item in items)) if i in causes]
                cause = max(involved, default=newest)
                update = _update(product_id, earlier, items, cause, self._neighbours.encoder_of(product_id))
                published = _published(update)
                if earlier is None or published[1:] != earlier[1:]:
                    out.publish(update)
                    self._published[product_id] = published
            elif earlier is not None:
                out.retract(RECOMMENDATION_UPDATED, _OWN_LISTS + product_id)
                del self._published[product_id]


def _update(
    product_id: str, earlier: _Published | None, items: Sequence[Neighbour], cause: Cause, encoder_id: str
) -> RecommendationUpdated:
    return RecommendationUpdated(
        kind=Kind.SIMILAR,
        subject=product_id,
        revision=1 if earlier is None else earlier.revision + 1,
        items=tuple(ListedProduct(item.product_id, item.score, Reason.LOOKS_LIKE, product_id) for item in items),
        event_time_ms=cause.event_time_ms,
        caused_by=cause.caused_by,
        caused_at_ms=cause.caused_at_ms,
        encoder_id=encoder_id,
    )


def _published(update: RecommendationUpdated) -> _Published:
    content = hash(tuple((item.product_id, item.score) for item in update.items))
    return _Published(update.revision, content, update.encoder_id)
