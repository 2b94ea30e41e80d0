"""Creates the topics that are missing on a cluster, and says how those that exist differ from what is needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError

from schemas.errors import ConfigurationError, KafkaUnavailableError
from schemas.kafka_settings import KafkaSettings
from schemas.topics import TOPICS

_CONNECT_TIMEOUT_MS = 10_000
_REQUEST_TIMEOUT_MS = 30_000


@dataclass(frozen=True, slots=True)
class TopicReport:
    """What was found, and done: names on the cluster, prefix included."""

    created: list[str]
    existing: list[str]
    differences: list[str]
    """How existing topics differ in settings that can be lived with; they are left as they are."""


def ensure_topics(settings: KafkaSettings) -> TopicReport:
    """Create what is missing; never alters what exists.

    Raises ``KafkaUnavailableError`` when no Kafka answers, ``ConfigurationError`` where an existing topic cannot
    work: another cleanup policy, or partition counts that differ between topics that share their partitions.
    """
    with admin_client(settings) as admin:
        wanted = {settings.named(topic): topic for topic in TOPICS.values()}
        there = set(admin.list_topics())
        existing = sorted(name for name in wanted if name in there)
        differences, partitions = _check(admin, settings, existing)
        count = partitions or settings.partitions
        created = sorted(set(wanted) - there)
        new = [
            NewTopic(name, count, settings.replication_factor, topic_configs=wanted[name].configs())
            for name in created
        ]
        if new:
            try:
                admin.create_topics(new, timeout_ms=_REQUEST_TIMEOUT_MS, wait_for_metadata=True)
            except TopicAlreadyExistsError:
                return ensure_topics(settings)  # another process creates them at the same time
        return TopicReport(created, existing, differences)


def delete_topics(settings: KafkaSettings) -> None:
    """Delete every topic of this prefix, data and all."""
    with admin_client(settings) as admin:
        there = set(admin.list_topics())
        names = [settings.named(topic) for topic in TOPICS.values() if settings.named(topic) in there]
        if names:
            admin.delete_topics(names, timeout_ms=_REQUEST_TIMEOUT_MS)


@contextmanager
def admin_client(settings: KafkaSettings) -> Iterator[Any]:
    """An admin client; raises ``KafkaUnavailableError`` when no Kafka answers or it refuses what is asked."""
    options = settings.client_options()
    try:
        admin = KafkaAdminClient(
            **options, request_timeout_ms=_REQUEST_TIMEOUT_MS, bootstrap_timeout_ms=_CONNECT_TIMEOUT_MS
        )
    except KafkaError as error:
        raise KafkaUnavailableError(
            f"no Kafka answers at {','.join(options['bootstrap_servers'])} ({type(error).__name__}); start one "
            "with `recsys kafka up`, or set KAFKA_BOOTSTRAP_SERVERS to the shop's own"
        ) from error
    try:
        yield admin
    except KafkaError as error:
        raise KafkaUnavailableError(f"Kafka did not do what was asked: {error}") from error
    finally:
        admin.close()


def _check(admin: Any, settings: KafkaSettings, existing: list[str]) -> tuple[list[str], int | None]:
    """Differences of existing topics, and the partition count that they share."""
    if not existing:
        return [], None
    counts = {described["name"]: len(described["partitions"]) for described in admin.describe_topics(existing)}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} has {count}" for name, count in sorted(counts.items()))
        raise ConfigurationError(f"all topics need the same number of partitions, but {listed}")
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in existing]
    found = _configs(admin.describe_configs(resources, config_filter="all"))
    differences: list[str] = []
    for topic in TOPICS.values():
        name = settings.named(topic)
        for setting, needed in topic.configs().items() if name in found else ():
            has = found[name].get(setting)
            if has == needed:
                continue
            text = f"{name}: {setting} is {has}, not {needed}"
            if setting == "cleanup.policy":
                raise ConfigurationError(f"{text}; alter it with Kafka's own tools, data would be lost otherwise")
            differences.append(text)
    count = next(iter(counts.values()))
    if count != settings.partitions:
        differences.append(f"topics have {count} partitions, not the configured {settings.partitions}")
    return differences, count


def _configs(described: Any) -> Mapping[str, dict[str, str]]:
    """Settings by topic."""
    topics = described.get("topic", {})
    return {name: {key: config["value"] for key, config in configs.items()} for name, configs in topics.items()}
