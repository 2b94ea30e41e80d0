"""The stage: image-features in, a list of similar products for each out.

The features are the state, so the input is its own changelog. The lists depend on the latest features, the
catalogue, and what was learnt of the features to correct hubs, which is on similar-state; the stage's own lists on
recommendation-updated say which revision readers have. After a restart
or an aborted transaction, lists are computed anew and only those that differ are published.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from consumers.runtime.causes import NO_CAUSE, Cause
from consumers.runtime.outbox import Outbox
from consumers.runtime.stage import AnyMessage, Stage, StageSpec
from consumers.similar_products.assortment import Assortment
from consumers.similar_products.corrections import from_state, to_state
from consumers.similar_products.list_kind import ListKind
from consumers.similar_products.settings import SimilarProductsSettings
from recsys.neighbours.by_encoder import Feature, NeighboursByEncoder
from recsys.neighbours.feature_vectors import InvalidVectorError, read_feature
from recsys.neighbours.hubness import Correction
from schemas.errors import InvalidEventError
from schemas.events import ImageFeature, Kind
from schemas.topics import IMAGE_FEATURES, PRODUCT_CREATED, RECOMMENDATION_UPDATED, SIMILAR_STATE

_MEASURED_EVERY = 50
"""Batches from one measurement to the next."""
_OWN_KINDS = frozenset({Kind.SIMILAR, Kind.COMPLETE_THE_LOOK})


class SimilarProductsStage(Stage):
    """Keeps every product's nearest neighbours, and publishes each list that changes.

    Where the shop wants it, what completes a look is kept beside: a list of another kind, by other rules. Lists of
    a kind that is no longer wanted are withdrawn.

    Products in the catalogue have a list, and those that may be considered stand in lists. A list without
    products is withdrawn. A product is compared with those that the same encoder looked at. One whose latest
    feature cannot be read has none.

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
        look = self._settings.complete_the_look
        self._assortment = Assortment(
            self._settings.required_attributes, () if look is None else look.same_attributes
        )
        self._similar = ListKind(Kind.SIMILAR, self._empty)
        self._looks = ListKind(Kind.COMPLETE_THE_LOOK, self._empty_looks)
        self._wanted_kinds = [self._similar] if look is None else [self._similar, self._looks]
        self._newest = NO_CAUSE
        self._unconfirmed: set[str] = set()
        self._unconfirmed_corrections: set[str] = set()
        self._owner = False
        self._until_measured = 0

    def wants(self, topic: str, key: str) -> bool:
        """Of recommendation-updated, only the stage's own lists."""
        return topic != RECOMMENDATION_UPDATED.name or key.partition(":")[0] in _OWN_KINDS

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
            left |= self._apply(self._read(part, out), [message.key for message in part])
            self._learn(causes[part[-1].key], out)
            at += len(part)
        self._publish(left, causes, out)
        self._measure(out)

    def follow(self, messages: Sequence[AnyMessage], out: Outbox) -> None:
        """Take the catalogue as it is now; lists change where a product comes, goes, or is out of stock."""
        causes: dict[str, Cause] = {}
        for message in messages:
            if self._assortment.put(message.key, message.value):
                causes[message.key] = self._cause_of(message)
        if self._owner and causes:
            self._apply({}, causes)
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
            else:
                kind, _, subject = message.key.partition(":")
                (self._similar if kind == Kind.SIMILAR else self._looks).restore(subject, message.value)
        self._unconfirmed.difference_update(message.key for message in features)
        self._apply(self._read(features, None), [message.key for message in features])

    def restored(self, partitions: Sequence[int], out: Outbox) -> None:
        """Begin to publish, with the lists that are not as they should be."""
        if not partitions:
            return
        self._owner = True
        served = Counter(list_.encoder_id for list_ in self._similar.published.values() if list_.encoder_id)
        if served:
            for each in self._wanted_kinds:
                each.neighbours.serve(max(served, key=lambda encoder_id: (served[encoder_id], encoder_id)))
        neighbours = self._similar.neighbours
        self._apply(dict.fromkeys(self._unconfirmed | set(neighbours.misfits())), ())
        self._apply({}, neighbours)
        self._unconfirmed.clear()
        for encoder_id in self._unconfirmed_corrections:
            self._correct(encoder_id, None)
        self._unconfirmed_corrections.clear()
        self._learn(self._newest, out)
        self._publish({*neighbours, *self._similar.published, *self._looks.published}, {}, out)

    def revoke(self, partitions: Sequence[int]) -> None:
        """Stop publishing. Lists stay, to save their computation: a restore confirms or corrects them."""
        self._owner = False
        self._similar.published.clear()
        self._looks.published.clear()
        self._unconfirmed = set(self._similar.neighbours)
        self._unconfirmed_corrections = set(self._similar.neighbours.corrections)

    def _empty(self) -> NeighboursByEncoder:
        return NeighboursByEncoder(self._settings.make_index, self._settings.learn_at(), self._wanted)

    def _empty_looks(self) -> NeighboursByEncoder:
        return NeighboursByEncoder(self._settings.make_look_index, (), self._wanted)

    def _room(self, messages: int) -> int:
        """How many of so many messages can be taken before it may be due to learn something."""
        return int(max(1, min(self._similar.neighbours.room(), messages)))

    def _learn(self, cause: Cause, out: Outbox) -> None:
        """Where there are so many features that it is due, learn what corrects hubs; all lists follow."""
        for encoder_id, correction in self._similar.neighbours.learn().items():
            out.publish(to_state(encoder_id, correction, cause))
            for each in self._wanted_kinds[1:]:
                each.neighbours.correct(encoder_id, correction)

    def _correct(self, encoder_id: str, correction: Correction | None) -> None:
        for each in self._wanted_kinds:
            each.neighbours.correct(encoder_id, correction)

    def _restore_correction(self, message: AnyMessage) -> None:
        try:
            correction = None if message.value is None else from_state(message.value)
        except InvalidEventError:
            correction = None  # it is learnt again
        self._unconfirmed_corrections.discard(message.key)
        known = self._similar.neighbours.corrections.get(message.key)
        if known != correction and self._settings.correct_hubs:
            self._correct(message.key, correction)

    def _measure(self, out: Outbox) -> None:
        """Now and then, for it looks at every list."""
        self._until_measured -= 1
        condition = self._similar.neighbours.condition() if self._until_measured <= 0 else None
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
            dimensions = usual.get(value.encoder_id) or self._similar.neighbours.dimensions(value.encoder_id)
            try:
                feature = read_feature(value, None if out is None else dimensions)
            except InvalidVectorError as error:
                if out is not None:
                    out.refuse(message, error)
            else:
                features[message.key] = feature
                usual[value.encoder_id] = len(feature.vector)
        return features

    def _apply(self, features: Mapping[str, Feature | None], product_ids: Iterable[str]) -> set[str]:
        """Take features, and what the catalogue says of products; returns those that left an index."""
        product_ids = list(product_ids)
        listable, traits = self._assortment.listable(product_ids), self._assortment.traits(product_ids)
        left: set[str] = set()
        try:
            for each in self._wanted_kinds:
                left |= each.neighbours.apply(features, listable, traits)
        except Exception:
            for each in self._wanted_kinds:
                each.begin_anew()  # it may be half changed; what restores it begins with nothing
            raise
        return left

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
        for each in (self._similar, self._looks):
            each.neighbours.settle()
            each.publish({*each.neighbours.take_changed(), *also}, self._assortment, causes, newest, out)
