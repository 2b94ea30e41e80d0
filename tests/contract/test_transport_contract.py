"""What the runtime promises, on the log in memory and on Kafka alike."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from last_seen import POISON, LastSeen, LastSeenByOne

from schemas.codec import encode
from schemas.errors import FencedError
from schemas.events import PdpView, ProductCreated

USERS = [f"u{number}" for number in range(8)]


def views(cluster: Any, rounds: range) -> None:
    for number in rounds:
        for user in USERS:
            cluster.view(user, f"p{number}")


def expected(rounds: int) -> dict[str, list[str]]:
    return {user: [f"p{number}" for number in reversed(range(rounds))] for user in USERS}


def test_takes_each_event_once_and_goes_on_where_it_stopped(cluster: Any) -> None:
    views(cluster, range(2))
    worker = cluster.start(LastSeen())
    cluster.run_until_processed(2 * len(USERS))
    cluster.stop(worker)
    views(cluster, range(2, 4))
    cluster.start(LastSeen())
    cluster.run_until_processed(2 * len(USERS))
    assert cluster.lists() == expected(4)
    assert cluster.processed() == 2 * len(USERS)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_transaction_that_may_not_have_committed_changes_nothing_twice(
    cluster: Any, when: Literal["before", "after"]
) -> None:
    worker = cluster.start(LastSeen())
    cluster.run_until_ready()
    views(cluster, range(1))
    cluster.run_until_processed(len(USERS))
    cluster.fail_next_commit(worker, when)
    views(cluster, range(1, 3))
    if when == "before":  # until then, a reader of the topic would wait for the transaction to time out
        cluster.run_until_processed(3 * len(USERS))
    cluster.run_until(lambda: cluster.lists() == expected(3))
    assert cluster.table("interaction-state")["u0"].product_ids == ["p0", "p1", "p2"]


def test_members_share_the_partitions_and_hand_them_over(cluster: Any) -> None:
    first, second = LastSeen(), LastSeen()
    cluster.start(first)
    views(cluster, range(1))
    cluster.run_until_processed(len(USERS))
    leaving = cluster.start(second)
    cluster.run_until(lambda: bool(first.viewed) and bool(second.viewed))
    assert not first.viewed.keys() & second.viewed.keys()
    views(cluster, range(1, 2))
    cluster.run_until_processed(2 * len(USERS))
    cluster.stop(leaving)
    views(cluster, range(2, 3))
    cluster.run_until(lambda: cluster.lists() == expected(3))
    assert sum(len(users) for users in first.viewed.values()) == len(USERS)


def test_one_member_owns_everything_while_it_lives(cluster: Any) -> None:
    first, second, third = LastSeenByOne(), LastSeenByOne(), LastSeenByOne()
    owner = cluster.start(first)
    views(cluster, range(1))
    cluster.run_until_processed(len(USERS))
    cluster.start(second)
    cluster.start(third)
    cluster.run_until_ready()
    views(cluster, range(1, 2))
    cluster.run_until_processed(2 * len(USERS))
    assert sum(len(users) for users in first.viewed.values()) == len(USERS)
    assert not second.viewed
    assert not third.viewed
    cluster.stop(owner)
    views(cluster, range(2, 3))
    cluster.run_until(lambda: cluster.lists() == expected(3))
    assert bool(second.viewed) != bool(third.viewed)


def test_tables_are_read_before_the_first_input_and_followed(cluster: Any) -> None:
    cluster.publish(ProductCreated("p0", 1_000), ProductCreated("p1", 1_000))
    cluster.append("product-created", b"p0", None)
    views(cluster, range(3))
    cluster.start(LastSeen())
    cluster.run_until_processed(3 * len(USERS))
    assert cluster.lists() == {user: ["p2", "p1"] for user in USERS}
    cluster.append("product-created", b"p1", None)
    cluster.run_until(lambda: cluster.lists() == {user: ["p2"] for user in USERS})


def test_what_cannot_be_read_becomes_a_dead_letter_as_it_came(cluster: Any) -> None:
    good = PdpView("e1", 1_000, "u0", None, "p0")
    headers = [("trace", b"1")]
    cluster.append("pdp-view", b"u0", b"no Avro", headers=headers)
    cluster.append("pdp-view", b"u1", encode(good))  # the key is not the event's
    cluster.append("pdp-view", None, encode(good))
    cluster.publish(good)
    cluster.start(LastSeen())
    cluster.run_until_processed(4)
    assert cluster.lists() == {"u0": ["p0"]}
    inputs = {record.value: record for record in cluster.records("pdp-view")}
    dead = {record.key: record for record in cluster.records("dead-letter")}
    assert set(dead) == {b"u0", b"u1", None}
    letter = dead[b"u0"]
    assert (letter.value, letter.timestamp_ms) == (b"no Avro", inputs[b"no Avro"].timestamp_ms)
    said = dict(letter.headers)
    assert said["trace"] == b"1"
    assert said["__connect.errors.topic"] == b"pdp-view"
    assert said["__connect.errors.partition"] == str(cluster.partition_of("u0")).encode()
    assert said["__connect.errors.offset"] == b"0"
    assert said["__connect.errors.stage"] == b"last-seen"
    assert said["__connect.errors.exception.class.name"] == b"schemas.errors.TruncatedMessageError"
    assert b"fewer than" in said["__connect.errors.exception.message"]


def test_a_message_that_fails_the_stage_is_set_aside_and_its_batch_goes_on(cluster: Any) -> None:
    views(cluster, range(1))
    cluster.view("u3", POISON)
    views(cluster, range(1, 2))
    worker = cluster.start(LastSeen())
    cluster.run_until_processed(2 * len(USERS) + 1)
    assert cluster.lists() == expected(2)
    assert worker.processed == {("pdp-view", "processed"): 2 * len(USERS), ("pdp-view", "dead-letter"): 1}
    (letter,) = cluster.records("dead-letter")
    assert dict(letter.headers)["__connect.errors.exception.message"] == b"this product cannot be"


def test_a_tombstone_takes_the_key_out_of_the_table(cluster: Any) -> None:
    from consumers.runtime.records import OutRecord, TopicPartition

    worker = cluster.start(LastSeen())
    cluster.view("u0", "p0")
    cluster.run_until_processed(1)
    partition = TopicPartition("pdp-view", cluster.partition_of("u0"))
    worker._transport.commit([OutRecord("recommendation-updated", b"for-you:u0", None)], {partition: 1})
    assert cluster.lists() == {}


def test_who_was_never_dealt_a_partition_cannot_commit_to_it(cluster: Any) -> None:
    from consumers.runtime.records import TopicPartition

    worker = cluster.start(LastSeen())
    cluster.run_until_ready()
    with pytest.raises(FencedError):
        worker._transport.commit([], {TopicPartition("cart-add", 0): 1})
