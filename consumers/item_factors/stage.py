"""The stage: shoppers' histories in, products' matrix-factorisation vectors out.

The histories are the state, so the input is its own changelog; vectors go on from where they were published. What
has moved since, but not so far that it was published, is learnt again. What is known of products comes from the
catalogue, so that a new one has a vector before its first visit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from consumers.item_factors.settings import ItemFactorSettings
from consumers.runtime.outbox import Outbox
from consumers.runtime.stage import AnyMessage, Stage, StageSpec
from recsys.co_visits import ActionWeights
from recsys.factors.attributes import product_features
from recsys.factors.learner import FactorLearner
from recsys.sessions.index import Sessions
from recsys.sessions.of_histories import sessions_of
from schemas.events import ItemFactors
from schemas.topics import INTERACTION_STATE, ITEM_FACTORS, PRODUCT_CREATED

GENERATION = 0
"""Vectors that were learnt from the stream alone."""


class ItemFactorsStage(Stage):
    """Learns from every shopper's history as it changes, and publishes the vectors that moved."""

    spec = StageSpec(
        "item-factors",
        inputs=(INTERACTION_STATE,),
        tables=(PRODUCT_CREATED,),
        changelogs=(ITEM_FACTORS,),
        source_changelog=True,
        sole_owner=True,
    )

    def __init__(self, settings: ItemFactorSettings | None = None) -> None:
        self._settings = settings or ItemFactorSettings()
        self._weights = ActionWeights()
        self._features: dict[str, list[str]] = {}
        self._start_empty()

    def capacity(self) -> int:
        """As many histories as are worked on in a moment."""
        return self._settings.batch_histories

    def process(self, messages: Sequence[AnyMessage], out: Outbox) -> None:
        """Take histories as they are now; vectors that this moves are published."""
        self._learner.learn(self._sessions(messages))
        self._publish(out)

    def follow(self, messages: Sequence[AnyMessage], out: Outbox) -> None:
        """Take what is known of products; one without visits gets the vector that its features lead to expect."""
        for message in messages:
            features = product_features(message.value)
            if features == self._features.get(message.key, []):
                continue
            self._features[message.key] = features
            self._learner.put_item_features(message.key, features)
            if message.value is None:
                del self._features[message.key]
        if self._owner:
            self._publish(out)

    def restore(self, messages: Sequence[AnyMessage]) -> None:
        """Take histories back, and vectors."""
        histories = [message for message in messages if message.topic == INTERACTION_STATE.name]
        self._learner.remember(self._sessions(histories))
        for message in messages:
            if message.topic == ITEM_FACTORS.name and message.value is not None:
                vector = np.frombuffer(message.value.vector, "<f4")
                if len(vector) == self._settings.factors:
                    self._learner.restore(message.key, vector)

    def restored(self, partitions: Sequence[int], out: Outbox) -> None:
        """Solve what follows from the vectors that were published."""
        if partitions:
            self._owner = True
            self._learner.recall()
            self._publish(out)

    def revoke(self, partitions: Sequence[int]) -> None:
        """Forget all vectors."""
        self._start_empty()

    def _start_empty(self) -> None:
        self._owner = False
        self._learner = FactorLearner(self._settings.rules(), self._settings.session_rules())
        for product_id, features in self._features.items():
            self._learner.put_item_features(product_id, features)

    def _sessions(self, messages: Sequence[AnyMessage]) -> Sessions:
        latest = {message.key: message.value for message in messages}
        return sessions_of(latest, self._learner.assign, self._weights)

    def _publish(self, out: Outbox) -> None:
        for product_id, vector in zip(*self._learner.take_moved(), strict=True):
            data = vector.astype("<f4").tobytes()
            out.publish(ItemFactors(product_id, GENERATION, data, self._learner.index.newest_ms))
