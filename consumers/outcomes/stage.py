"""The stage: what shoppers are shown, click and buy in; what recommendations led to out.

A shopper's state at rest is the very bytes of its changelog record: most shoppers of a shard are not there at the
moment, and a journey is made of the bytes when one of their events comes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

from consumers.forgetting import FORGOTTEN, Forgetting
from consumers.outcomes.settings import OutcomeSettings
from consumers.runtime.outbox import Outbox
from consumers.runtime.stage import AnyMessage, Stage, StageSpec
from recsys.attribution import Journey
from recsys.histories import ADDED
from recsys.journey_state import restore, snapshot
from recsys.recent_ids import RecentIds
from schemas.codec import decoder
from schemas.events import Kind, OutcomeState, Reason, RecommendationOutcome
from schemas.topics import (
    CART_ADD,
    CLICK,
    IMPRESSION,
    OUTCOME_STATE,
    PURCHASE,
    RECOMMENDATION_OUTCOMES,
    USER_UPDATED,
)

OUTCOMES_COUNTER = "outcomes"
REVENUE_COUNTER = "revenue"
RETURNED_COUNTER = "returned_revenue"

_OTHER = "other"
_REASONS = frozenset({*Reason.ALL, ""})


class _Shard:
    """The shoppers of one partition."""

    def __init__(self, max_shoppers: int) -> None:
        self.states: dict[str, bytes] = {}
        self.recent = RecentIds(max_shoppers)
        self.restored_ms: dict[str, int] = {}
        """Times of the latest events of shoppers that were just restored."""


class _Labels:
    """The first texts that come, up to a bound: what browsers send must not make ever more series of a metric."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: set[str] = set()

    def of(self, text: str) -> str:
        """The text itself, or ``other``."""
        if text in self._known or text == "":
            return text
        if len(self._known) >= self._most:
            return _OTHER
        self._known.add(text)
        return text


class OutcomesStage(Stage):
    """Keeps the journeys of its partitions' shoppers, and publishes outcomes as they come and change.

    A shopper is a user, or a guest's session; a user who is forgotten takes along what is kept, and the outcomes
    that follow from it.
    """

    spec = StageSpec(
        "outcomes",
        inputs=(IMPRESSION, CLICK, CART_ADD, PURCHASE, USER_UPDATED),
        changelogs=(OUTCOME_STATE,),
        gather_ms=200,
    )

    def __init__(self, settings: OutcomeSettings | None = None) -> None:
        self._settings = settings or OutcomeSettings()
        self._rules = self._settings.rules()
        self._decode = decoder(OUTCOME_STATE.name)
        self._shards: dict[int, _Shard] = {}
        self._forgetting = Forgetting()
        self._placements = _Labels(self._settings.max_labels)
        self._variants = _Labels(self._settings.max_labels)

    def process(self, messages: Sequence[AnyMessage], out: Outbox) -> None:
        """Take what shoppers saw and did; each shopper touched is written to the changelog once."""
        of_shoppers: dict[tuple[int, str], list[AnyMessage]] = {}
        for message in messages:
            of_shoppers.setdefault((message.partition, message.key), []).append(message)
        for (partition, subject), own in of_shoppers.items():
            self._take(partition, subject, own, out)
        for partition in {partition for partition, _ in of_shoppers}:
            shard = self._shard(partition)
            for subject in shard.recent.take_excess():
                del shard.states[subject]
                out.retract(OUTCOME_STATE, subject, partition=partition)

    def restore(self, messages: Sequence[AnyMessage]) -> None:
        """Take journeys back."""
        for message in messages:
            shard = self._shard(message.partition)
            if message.value is None:
                shard.states.pop(message.key, None)
                shard.restored_ms.pop(message.key, None)
                self._forgetting.restore(message)
            else:
                shard.states[message.key] = message.record.value or b""
                shard.restored_ms[message.key] = message.value.latest_ms

    def restored(self, partitions: Sequence[int], out: Outbox) -> None:
        """Those who were there last are forgotten last."""
        for partition in partitions:
            shard = self._shard(partition)
            for subject in sorted(shard.restored_ms, key=lambda one: (shard.restored_ms[one], one)):
                shard.recent.visit(subject)
            shard.restored_ms = {}

    def revoke(self, partitions: Sequence[int]) -> None:
        """Forget the journeys of these partitions."""
        for partition in partitions:
            self._shards.pop(partition, None)

    def journey(self, subject: str) -> Journey | None:
        """What is kept of a shopper; None where nothing is kept here."""
        found = (shard.states[subject] for shard in self._shards.values() if subject in shard.states)
        return next(map(self._journey, found), None)

    def _take(self, partition: int, subject: str, messages: Iterable[AnyMessage], out: Outbox) -> None:
        shard = self._shard(partition)
        data = shard.states.get(subject)
        journey = Journey(self._rules) if data is None else self._journey(data)
        changed = False
        for message in messages:
            if message.topic == USER_UPDATED.name:
                if message.value is None:
                    self._forget(message, journey, out)
                    journey, changed = Journey(self._rules), False
                continue
            is_before = message.timestamp_ms < self._forgetting.asked_ms(subject)
            what = FORGOTTEN if is_before else journey.add(message.value)
            if what == ADDED:
                changed = True
            else:
                out.count(message, what)
        if changed:
            for outcome in journey.take_outcomes(subject):
                out.publish(outcome)
                self._observe(outcome, out)
            out.publish(snapshot(subject, journey), partition=partition)
            shard.states[subject] = cast("bytes", out.records[-1].value)  # as it was just encoded
            shard.recent.visit(subject)

    def _forget(self, request: AnyMessage, journey: Journey, out: Outbox) -> None:
        """Drop all that is kept of a user, and take back what is known to be published of them."""
        shard, subject = self._shard(request.partition), request.key
        self._forgetting.take(request, OUTCOME_STATE, out)
        for event_id in journey.published():
            out.retract(RECOMMENDATION_OUTCOMES, event_id)
        shard.states.pop(subject, None)
        shard.recent.discard(subject)

    def _observe(self, outcome: RecommendationOutcome, out: Outbox) -> None:
        """Count an outcome once: by what is known when it is published first."""
        if outcome.revision > 1:
            return
        kind = outcome.kind if outcome.kind in Kind.ALL else _OTHER
        reason = outcome.reason if outcome.reason in _REASONS else _OTHER
        labels = (kind, self._placements.of(outcome.placement), self._variants.of(outcome.variant), reason)
        out.observe(OUTCOMES_COUNTER, outcome.outcome, *labels)
        if outcome.revenue > 0:
            out.observe(REVENUE_COUNTER, *labels, amount=outcome.revenue)
        elif outcome.revenue < 0:
            out.observe(RETURNED_COUNTER, *labels, amount=-outcome.revenue)

    def _journey(self, data: bytes) -> Journey:
        return restore(cast("OutcomeState", self._decode(data)), self._rules)

    def _shard(self, partition: int) -> _Shard:
        shard = self._shards.get(partition)
        if shard is None:
            shard = self._shards[partition] = _Shard(self._settings.max_shoppers)
        return shard
