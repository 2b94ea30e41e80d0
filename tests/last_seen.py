"""An example of a stage, and the tests' toy: the products that each shopper viewed, newest first."""

from __future__ import annotations

from collections.abc import Sequence

from consumers.runtime.outbox import Outbox
from consumers.runtime.stage import AnyMessage, Stage, StageSpec
from schemas.events import Kind, ListedProduct, Reason, RecommendationUpdated, UserHistory
from schemas.topics import INTERACTION_STATE, PDP_VIEW, PRODUCT_CREATED

POISON = "poison"
"""A view of this product makes the stage fail."""


class LastSeen(Stage):
    """Publishes a shopper's list whenever it changes; retired products leave every list."""

    spec = StageSpec("last-seen", inputs=(PDP_VIEW,), tables=(PRODUCT_CREATED,), changelogs=(INTERACTION_STATE,))

    def __init__(self) -> None:
        self.viewed: dict[int, dict[str, list[str]]] = {}
        self.retired: set[str] = set()

    def process(self, messages: Sequence[AnyMessage], out: Outbox) -> None:
        touched = {}
        for message in messages:
            if message.value.product_id == POISON:
                raise ValueError("this product cannot be")
            viewed = self.viewed.setdefault(message.partition, {}).setdefault(message.key, [])
            viewed.append(message.value.product_id)
            touched[message.partition, message.key] = message
        for (partition, user), message in touched.items():
            self._publish(partition, user, message, out)

    def follow(self, messages: Sequence[AnyMessage], out: Outbox) -> None:
        for message in messages:
            if message.value is not None:
                continue
            self.retired.add(message.key)
            for partition, users in self.viewed.items():
                for user, viewed in users.items():
                    if message.key in viewed:
                        self._publish(partition, user, message, out)

    def restore(self, messages: Sequence[AnyMessage]) -> None:
        for message in messages:
            self.viewed.setdefault(message.partition, {})[message.key] = list(message.value.product_ids)

    def revoke(self, partitions: Sequence[int]) -> None:
        for partition in partitions:
            self.viewed.pop(partition, None)

    def _publish(self, partition: int, user: str, cause: AnyMessage, out: Outbox) -> None:
        viewed = self.viewed[partition][user]
        out.publish(UserHistory(user, [], [], viewed, [], [], [], len(viewed)), partition=partition)
        items = [ListedProduct(p, 1.0, Reason.BECAUSE_VIEWED) for p in reversed(viewed) if p not in self.retired]
        at_ms = cause.timestamp_ms
        out.publish(RecommendationUpdated(Kind.FOR_YOU, user, len(viewed), items, at_ms, cause.cause, at_ms))


class LastSeenByOne(LastSeen):
    """The same, all of it in one process."""

    spec = StageSpec(
        "last-seen-by-one",
        inputs=(PDP_VIEW,),
        tables=(PRODUCT_CREATED,),
        changelogs=(INTERACTION_STATE,),
        sole_owner=True,
    )
