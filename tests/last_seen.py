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
        self.listed: dict[str, list[str]] = {}
        self.retired: set[str] = set()

    def process(self, messages: Sequence[AnyMessage], out: Outbox) -> None:
        touched = {}
        for message in messages:
            if message.value.product_id == POISON:
                raise ValueError("this product cannot be")
            self.viewed.setdefault(message.partition, {}).setdefault(message.key, []).append(
                message.value.product_id
            )
            touched[message.partition, message.key] = message
        for (partition, user), message in touched.items():
            self._publish(partition, user, message.timestamp_ms, out)

    def follow(self, messages: Sequence[AnyMessage], out: Outbox) -> None:
        self.retired.update(message.key for message in messages if message.value is None)
        self.restored(list(self.viewed), out)

    def restore(self, messages: Sequence[AnyMessage]) -> None:
        for message in messages:
            self.viewed.setdefault(message.partition, {})[message.key] = list(message.value.product_ids)
            self.listed[message.key] = list(message.value.listed)

    def restored(self, partitions: Sequence[int], out: Outbox) -> None:
        for partition in partitions:
            for user in self.viewed.get(partition, {}):
                if not self.retired.isdisjoint(self.listed[user]):
                    self._publish(partition, user, 0, out)

    def revoke(self, partitions: Sequence[int]) -> None:
        for partition in partitions:
            self.viewed.pop(partition, None)

    def _publish(self, partition: int, user: str, at_ms: int, out: Outbox) -> None:
        viewed = self.viewed[partition][user]
        self.listed[user] = listed = [product for product in reversed(viewed) if product not in self.retired]
        items = [ListedProduct(product, 1.0, Reason.BECAUSE_VIEWED) for product in listed]
        out.publish(RecommendationUpdated(Kind.FOR_YOU, user, len(viewed), items, at_ms, "", at_ms))
        out.publish(UserHistory(user, [], [], viewed, [], [], listed, len(viewed)), partition=partition)


class LastSeenByOne(LastSeen):
    """The same, all of it in one process."""

    spec = StageSpec(
        "last-seen-by-one",
        inputs=(PDP_VIEW,),
        tables=(PRODUCT_CREATED,),
        changelogs=(INTERACTION_STATE,),
        sole_owner=True,
    )
