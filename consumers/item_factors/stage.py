"""The stage: shoppers' histories in, products' matrix-factorisation vectors out.

The histories are the state, so the input is its own changelog; vectors go on from where they were published. What
has moved since, but not so far that it was published, is learnt again. What is known of products comes from the
catalogue, so that a new one has a vector before its first visit.

A full refit comes on a topic of its own, for item-factors has one writer. Once all of it is there, every vector of
the new generation is published in one transaction, and learning goes on from them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from consumers.item_factors.refit_parts import RefitParts
from consumers.item_factors.settings import ItemFactorSettings
from consumers.runtime.outbox import Outbox
from consumers.runtime.stage import AnyMessage, Stage, StageSpec
from recsys.co_visits import ActionWeights
from recsys.factors.attributes import attribute_features, product_features
from recsys.factors.learner import FactorLearner, Moved
from recsys.sessions.index import Sessions
from recsys.sessions.of_histories import sessions_of
from schemas.events import ItemFactors, ProfileFactors, UserHistory
from schemas.topics import INTERACTION_STATE, ITEM_FACTORS, PRODUCT_CREATED, PROFILE_FACTORS, REFIT_FACTORS


class ItemFactorsStage(Stage):
    """Learns from every shopper's history as it changes, and publishes the vectors that moved."""

    spec = StageSpec(
        "item-factors",
        inputs=(INTERACTION_STATE,),
        tables=(PRODUCT_CREATED, REFIT_FACTORS),
        changelogs=(ITEM_FACTORS, PROFILE_FACTORS),
        source_changelog=True,
        sole_owner=True,
        gather_ms=200,
    )

    def __init__(self, settings: ItemFactorSettings | None = None) -> None:
        self._settings = settings or ItemFactorSettings()
        self._weights = ActionWeights()
        self._features: dict[str, list[str]] = {}
        self._refit = RefitParts()
        self._published_profile: ProfileFactors | None = None
        """What was published of profiles, while it is restored."""
        self._start_empty()

    def capacity(self) -> int:
        """As many histories as are worked on in a moment."""
        return self._settings.batch_histories

    def process(self, messages: Sequence[AnyMessage], out: Outbox) -> None:
        """Take histories as they are now; vectors that this moves are published."""
        self._learner.learn(self._sessions(messages))
        self._publish(self._learner.take_moved(), out)
        self._publish_profile(out)

    def follow(self, messages: Sequence[AnyMessage], out: Outbox) -> None:
        """Take what is known of products, and what a refit found.

        A product without visits gets the vector that its features lead to expect.
        """
        for message in messages:
            if message.topic == REFIT_FACTORS.name:
                if message.value is not None:
                    self._refit.take(message.value)
            else:
                self._take_product(message)
        if self._owner:
            self._go_over(out)
            self._publish(self._learner.take_moved(), out)
            self._publish_profile(out)

    def poll(self, out: Outbox) -> None:
        """What was gone over to is committed by now, so the changelog has it."""
        self._refit.let_go(self._generation)

    def restore(self, messages: Sequence[AnyMessage]) -> None:
        """Take histories back, and vectors."""
        histories = [message for message in messages if message.topic == INTERACTION_STATE.name]
        self._learner.remember(self._sessions(histories))
        for message in messages:
            if message.topic == ITEM_FACTORS.name:
                self._published[message.key] = message.value
            elif message.topic == PROFILE_FACTORS.name:
                self._published_profile = message.value

    def restored(self, partitions: Sequence[int], out: Outbox) -> None:
        """Solve what follows from the vectors that were published, and go over to a refit that came meanwhile."""
        if not partitions:
            return
        self._owner = True
        published = [factors for factors in self._published.values() if factors is not None]
        self._published.clear()
        self._generation = max((factors.generation for factors in published), default=0)
        for factors in published:
            vector = np.frombuffer(factors.vector, "<f4")
            if factors.generation == self._generation and len(vector) == self._settings.factors:
                self._learner.restore(factors.product_id, vector)
                if factors.generation_items:
                    self._began_with.add(factors.product_id)
        self._restore_profile()
        self._learner.recall()
        out.measure("factor_generation", self._generation)
        self._go_over(out)
        self._publish(self._learner.take_moved(), out)
        self._publish_profile(out)

    def revoke(self, partitions: Sequence[int]) -> None:
        """Forget all vectors."""
        self._start_empty()

    def _start_empty(self) -> None:
        self._owner = False
        self._generation = 0
        """Number of the refit that the vectors go on from; 0 where they were learnt from the stream alone."""
        self._began_with: set[str] = set()
        """Products that it began with."""
        self._published: dict[str, ItemFactors | None] = {}
        """What was published, while it is restored."""
        self._published_profile = None
        self._bought = self._settings.bought_units()
        self._profiles: dict[str, int] = {}
        """A hash of what is known of each shopper of whom there are visits."""
        self._learner = FactorLearner(self._settings.rules(), self._settings.session_rules())
        for product_id, features in self._features.items():
            self._learner.put_item_features(product_id, features)

    def _take_product(self, message: AnyMessage) -> None:
        features = product_features(message.value)
        if features == self._features.get(message.key, []):
            return
        self._features[message.key] = features
        self._learner.put_item_features(message.key, features)
        if message.value is None:
            del self._features[message.key]

    def _sessions(self, messages: Sequence[AnyMessage]) -> Sessions:
        latest = {message.key: message.value for message in messages}
        for subject, history in latest.items():
            self._take_profile(subject, history)
        return sessions_of(latest, self._learner.assign, self._weights, self._bought)

    def _take_profile(self, subject: str, history: UserHistory | None) -> None:
        """Take what is known of a shopper, of whom there are visits; that is nothing for most."""
        attributes = history.attributes if history is not None and history.product_ids else {}
        known = hash(tuple(attributes.items())) if attributes else None
        if known == self._profiles.get(subject):
            return
        self._learner.put_user_features(subject, list(attribute_features(attributes)))
        if known is None:
            del self._profiles[subject]
        else:
            self._profiles[subject] = known

    def _restore_profile(self) -> None:
        published, self._published_profile = self._published_profile, None
        if published is None or published.generation != self._generation:
            return
        vectors = np.frombuffer(published.vectors, "<f4")
        if len(vectors) == len(published.features) * self._settings.factors:
            self._learner.restore_profile(published.features, vectors.reshape(-1, self._settings.factors))

    def _go_over(self, out: Outbox) -> None:
        """Publish all vectors anew from those of a refit, where one has come."""
        refit = self._refit.complete(after=self._generation)
        if refit is None or refit.vectors.shape[1] != self._settings.factors:
            return
        self._learner.adopt(refit.product_ids, refit.vectors)
        self._generation = refit.generation
        out.measure("factor_generation", self._generation)
        every = self._learner.take_all()
        self._began_with = set(every.product_ids)
        self._publish(every, out)

    def _publish(self, moved: Moved, out: Outbox) -> None:
        newest_ms, began_with = self._learner.index.newest_ms, self._began_with
        for product_id, vector in zip(*moved, strict=True):
            items = len(began_with) if product_id in began_with else 0
            data = vector.astype("<f4").tobytes()
            out.publish(ItemFactors(product_id, self._generation, data, newest_ms, items))

    def _publish_profile(self, out: Outbox) -> None:
        moved = self._learner.take_profile()
        if moved is not None:
            features, vectors = moved
            data = vectors.astype("<f4").tobytes()
            out.publish(ProfileFactors(self._generation, features, data, self._learner.index.newest_ms))
