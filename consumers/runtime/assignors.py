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
    """Gives every partition to the first member in the order of instance names, then of member ids."""

    name = "sole-owner"
    version = 0

    @classmethod
    def assign(cls, cluster: Any, members: Iterable[Any]) -> dict[str, Any]:
        """Member id → assignment."""
        ordered = sorted(
            members, key=lambda m: (m.group_instance_id is None, m.group_instance_id or "", m.member_id)
        )
        assigned: dict[str, Any] = {}
        for index, member in enumerate(ordered):
            everything = [
                (topic, sorted(cluster.partitions_for_topic(topic) or ()))
                for topic in sorted(member.metadata.topics)
            ]
            assigned[member.member_id] = ConsumerProtocolAssignment(
                cls.version, everything if index == 0 else [], b""
            )
        return assigned

    @classmethod
    def metadata(cls, topics: Iterable[str]) -> Any:
        """What a member tells of itself."""
        return ConsumerProtocolSubscription(cls.version, list(topics), b"")

    @classmethod
    def on_assignment(cls, assignment: Any, generation: int) -> None:
        """Nothing is kept between assignments."""
