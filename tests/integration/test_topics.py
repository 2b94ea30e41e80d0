"""Topics on a real cluster: created once as they are meant to be, checked afterwards, never altered."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from kafka.admin import ConfigResource, ConfigResourceType

from deploy.topics import admin_client, delete_topics, ensure_topics
from schemas.errors import ConfigurationError, KafkaUnavailableError
from schemas.kafka_settings import KafkaSettings
from schemas.topics import TOPICS


def other_prefix(kafka: KafkaSettings, **changes: Any) -> KafkaSettings:
    return kafka.model_copy(update={"topic_prefix": f"{kafka.topic_prefix}other.", **changes})


def create(kafka: KafkaSettings, topics: dict[str, dict[str, Any]]) -> None:
    """Topics as somebody else made them."""
    with admin_client(kafka) as admin:
        admin.create_topics(
            {kafka.named(name): {"replication_factor": 1, **options} for name, options in topics.items()},
            wait_for_metadata=True,
        )


def partitions(kafka: KafkaSettings) -> dict[str, int]:
    with admin_client(kafka) as admin:
        found = admin.describe_topics([kafka.named(topic) for topic in TOPICS])
    return {one["name"].removeprefix(kafka.topic_prefix): len(one["partitions"]) for one in found}


def test_topics_are_created_as_they_are_meant_to_be(kafka: KafkaSettings) -> None:
    assert set(partitions(kafka).values()) == {kafka.partitions}
    with admin_client(kafka) as admin:
        resources = [ConfigResource(ConfigResourceType.TOPIC, kafka.named(topic)) for topic in TOPICS]
        described = admin.describe_configs(resources, config_filter="all")["topic"]
    for topic in TOPICS.values():
        configs = described[kafka.named(topic)]
        assert {name: configs[name]["value"] for name in topic.configs()} == topic.configs()


def test_a_second_time_nothing_is_created(kafka: KafkaSettings) -> None:
    report = ensure_topics(kafka)
    assert report.created == []
    assert report.existing == sorted(kafka.named(topic) for topic in TOPICS)
    assert report.differences == []


def test_several_that_create_them_at_once_all_succeed(kafka: KafkaSettings) -> None:
    other = other_prefix(kafka)
    with ThreadPoolExecutor(3) as pool:
        reports = [future.result() for future in [pool.submit(ensure_topics, other) for _ in range(3)]]
    assert max(len(report.created) for report in reports) >= 1
    assert set(partitions(other)) == set(TOPICS)
    delete_topics(other)


def test_missing_topics_join_the_partition_count_of_their_key(kafka: KafkaSettings) -> None:
    other = other_prefix(kafka)
    views = TOPICS["pdp-view"].configs()
    create(other, {"pdp-view": {"num_partitions": 5, "configs": views}})
    report = ensure_topics(other)
    found = partitions(other)
    assert {found[name] for name, topic in TOPICS.items() if topic.key == "user_id"} == {5}
    assert found["product-created"] == kafka.partitions
    assert f"{other.named('pdp-view')}: 5 partitions, not the configured 3" in report.differences
    delete_topics(other)


def test_what_cannot_work_is_refused_and_left_as_it_is(kafka: KafkaSettings) -> None:
    other = other_prefix(kafka)
    create(
        other,
        {
            "pdp-view": {"num_partitions": 2, "configs": {"cleanup.policy": "compact"}},
            "purchase": {"num_partitions": 4},
        },
    )
    with pytest.raises(ConfigurationError) as refused:
        ensure_topics(other)
    said = str(refused.value)
    assert "pdp-view: cleanup.policy is compact, not delete" in said
    assert "topics with the key user_id need the same number of partitions" in said
    assert "pdp-view has 2" in said
    assert "purchase has 4" in said
    with admin_client(other) as admin:
        assert {name for name in admin.list_topics() if name.startswith(other.topic_prefix)} == {
            other.named("pdp-view"),
            other.named("purchase"),
        }
    delete_topics(other)


def test_what_can_be_lived_with_is_noted(kafka: KafkaSettings) -> None:
    other = other_prefix(kafka)
    configs = {**TOPICS["pdp-view"].configs(), "retention.ms": "1000"}
    create(other, {"pdp-view": {"num_partitions": 3, "configs": configs}})
    report = ensure_topics(other)
    assert report.differences == [f"{other.named('pdp-view')}: retention.ms is 1000, not 604800000"]
    delete_topics(other)


def test_more_copies_than_brokers_are_refused_in_words(kafka: KafkaSettings) -> None:
    with pytest.raises(KafkaUnavailableError, match=r"[Rr]eplication"):
        ensure_topics(other_prefix(kafka, replication_factor=7))
