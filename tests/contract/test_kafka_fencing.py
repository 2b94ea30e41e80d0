"""Who lost its partitions writes nothing more, however it lost them; and who takes over need not wait for it."""

from __future__ import annotations

import time
from typing import Any

import pytest
from kafka.admin import NewPartitions
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata
from last_seen import LastSeen, LastSeenByOne

from consumers.runtime.assignors import SoleOwnerAssignor
from consumers.runtime.kafka_errors import InstanceTakenError
from consumers.runtime.kafka_reader import TopicReader
from consumers.runtime.records import TopicPartition
from consumers.runtime.settings import RuntimeSettings
from deploy.topics import admin_client
from schemas.errors import ConfigurationError, FencedError

USERS = [f"u{number}" for number in range(8)]


def suspended(cluster: Any, stage: Any) -> Any:
    """A worker in the middle of a batch whose process is suspended: no heartbeat leaves it any more."""
    worker = cluster.start(stage)
    cluster.run_until_ready()
    for user in USERS:
        cluster.view(user, "p0")
    cluster.workers.remove(worker)
    coordinator(worker)._disable_heartbeat()
    return worker


def coordinator(worker: Any) -> Any:
    return worker._transport._consumer._coordinator


def partitions_of(settings: Any, topic: str) -> int:
    reader = TopicReader(settings, RuntimeSettings())
    try:
        return reader.partition_count(topic)
    finally:
        reader.close()


@pytest.mark.parametrize("heard", [False, True], ids=["unaware", "aware"])
def test_a_process_that_was_suspended_past_its_session_is_fenced(kafka_only: Any, heard: bool) -> None:
    former = suspended(kafka_only, LastSeen())
    position = TopicPartition("pdp-view", kafka_only.partition_of("u0"))
    owned = former._transport.assignment().since
    kafka_only.start(LastSeen())
    kafka_only.run_until_processed(len(USERS))
    if heard:  # its next heartbeat told it that the group went on: the client forgets its generation
        coordinator(former).reset_generation()
    assert position in owned
    with pytest.raises(FencedError):
        former._transport.commit([], {position: 0})
    before = kafka_only.processed()
    kafka_only.workers.append(former)
    kafka_only.run_until_ready()
    for user in USERS:
        kafka_only.view(user, "p1")
    kafka_only.run_until_processed(before + len(USERS))
    assert kafka_only.lists() == {user: ["p1", "p0"] for user in USERS}
    assert kafka_only.processed() == before + len(USERS)


def test_a_process_started_again_under_its_name_takes_over_at_once(kafka_only: Any) -> None:
    former = kafka_only.start(LastSeenByOne(), instance="0")
    kafka_only.run_until_ready()
    kafka_only.view("u0", "p0")
    kafka_only.run_until_processed(1)
    partition = TopicPartition("pdp-view", kafka_only.partition_of("u0"))
    writer = former._transport._writer
    producer = writer._ready()
    producer.begin_transaction()  # killed in the middle of a transaction
    writer._send(producer, [("interaction-state", b"u0", None, 0, (), None)])
    theirs = former._transport._theirs(partition)
    producer.send_offsets_to_transaction(
        {theirs: OffsetAndMetadata(2, "", -1)}, former._transport._consumer.group_metadata()
    )
    producer.flush()
    kafka_only.workers.remove(former)
    began = time.monotonic()
    kafka_only.start(LastSeenByOne(), instance="0")
    kafka_only.view("u0", "p1")
    kafka_only.run_until_processed(1)
    took = time.monotonic() - began
    assert took < 8.0  # neither the session (2 s here) nor the transaction (10 s) has to time out
    assert kafka_only.lists() == {"u0": ["p1", "p0"]}
    with pytest.raises(KafkaError):
        producer.commit_transaction()
    writer.close()
    with pytest.raises(InstanceTakenError):
        former._transport.commit([], {partition: 5})
    former._transport.close()
    kafka_only.view("u0", "p2")
    kafka_only.run_until(lambda: kafka_only.lists() == {"u0": ["p2", "p1", "p0"]})


def test_members_that_are_busy_between_polls_still_come_to_a_deal(kafka_only: Any) -> None:
    members = [kafka_only.transport(LastSeen(), None) for _ in range(3)]
    try:
        deadline = time.monotonic() + 30
        while sum(len(member.assignment().since) for member in members) != 3 or not all(
            member.assignment().version for member in members
        ):
            assert time.monotonic() < deadline, "the group deals for ever"
            for member in members:
                member.keep_alive()
            time.sleep(0.1)  # every join ends while nobody polls
        dealt = [member._consumer.group_metadata().generation_id for member in members]
        assert max(dealt) <= 6
    finally:
        for member in members:
            member.close()


def test_topics_that_differ_in_partitions_are_refused(kafka_only: Any) -> None:
    with admin_client(kafka_only.settings) as admin:
        admin.create_partitions({kafka_only.settings.named("pdp-view"): NewPartitions(5)})
    deadline = time.monotonic() + 10
    while partitions_of(kafka_only.settings, "pdp-view") < 5 and time.monotonic() < deadline:
        time.sleep(0.05)
    with pytest.raises(ConfigurationError, match="equally many partitions"):
        kafka_only.transport(LastSeen(), None)


def test_the_owner_of_everything_stays_the_owner() -> None:
    class Cluster:
        def partitions_for_topic(self, topic: str) -> set[int]:
            return {0, 1}

    class Member:
        group_instance_id = None

        def __init__(self, member_id: str, assignor: SoleOwnerAssignor) -> None:
            self.member_id = member_id
            self.metadata = assignor.metadata(["t"])

    newcomer, owner = SoleOwnerAssignor(), SoleOwnerAssignor()
    everything = newcomer.assign(Cluster(), [Member("b", owner)])["b"]
    owner.on_assignment(everything, 7)
    dealt = newcomer.assign(Cluster(), [Member("a", newcomer), Member("b", owner)])
    assert [list(dealt[m].partitions()) != [] for m in ("a", "b")] == [False, True]
    owner.on_assignment(dealt["a"], 8)
    assert owner.metadata(["t"]).user_data == b"-1"
