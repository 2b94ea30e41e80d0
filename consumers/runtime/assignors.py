"""How a group that needs everything in one place shares its partitions: one member has all of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kafka.coordinator.assignors.abstract import (
    AbstractPartitionAssignor,
    ConsumerProtocolAssignment,
    ConsumerProtocolSubscription,
)


class SoleOwnerAssignor(AbstractPartitionAssignor):  # type: ignore[misc]
    """Gives every partition to one member, and leaves them there while it lives; the others stand by.

    Each member tells the generation in which it last owned them (as the sticky assignor does, KIP-54); where none
    does, the first in the order of instance names, then of member ids, becomes the owner.
    """

    name = "sole-owner"
    version = 0

    def __init__(self) -> None:
        self._owned_in = -1

    def assign(self, cluster: Any, members: Iterable[Any]) -> dict[str, Any]:
        """Member id → assignment."""
        ordered = sorted(
            members,
            key=lambda m: (-_owned_in(m), m.group_instance_id is None, m.group_instance_id or "", m.member_id),
        )
        assigned: dict[str, Any] = {}
        for index, member in enumerate(ordered):
            everything = [
                (topic, sorted(cluster.partitions_for_topic(topic) or ()))
                for topic in sorted(member.metadata.topics)
            ]
            assigned[member.member_id] = ConsumerProtocolAssignment(
                self.version, everything if index == 0 else [], b""
            )
        return assigned

    def metadata(self, topics: Iterable[str]) -> Any:
        """What a member tells of itself."""
        return ConsumerProtocolSubscription(self.version, list(topics), str(self._owned_in).encode())

    def on_assignment(self, assignment: Any, generation: int) -> None:
        """Remember whether this member owns the partitions now."""
        self._owned_in = generation if assignment.partitions() else -1


def _owned_in(member: Any) -> int:
    try:
        return int(member.metadata.user_data)
    except (TypeError, ValueError):
        return -1
