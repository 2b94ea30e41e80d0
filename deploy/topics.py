"""Creates the topics that are missing on a cluster, and says how those that exist differ from what is needed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError, TopicAlreadyExistsError

from schemas.errors import ConfigurationError, KafkaUnavailableError
from schemas.kafka_settings import KafkaSettings
from schemas.topics import TOPICS

_CONNECT_TIMEOUT_MS = 10_000
_REQUEST_TIMEOUT_MS = 30_000
_ATTEMPTS = 20
_ATTEMPT_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class TopicReport:
    """What was found, and done: names on the cluster, prefix included."""

    created: list[str]
    existing: list[str]
    differences: list[str]
    """How existing topics differ in settings that can be lived with; they are left as they are."""


def ensure_topics(settings: KafkaSettings) -> TopicReport:
    """Create what is missing; never alters what exists.

    A topic joins the partition count of those that exist with the same key, for a stage that reads both needs a
    key in the same partition of each. Raises ``KafkaUnavailableError`` when no Kafka answers, and
    ``ConfigurationError``, naming everything that is wrong, where existing topics cannot work: another cleanup
    policy, or topics of one key with different partition counts.
    """
    with admin_client(settings) as admin:
        for _ in range(_ATTEMPTS):
            existing = _existing(admin, settings)
            report = _checked(settings, existing)
            if not report.created or _created(admin, settings, report.created, existing):
                return report
        raise KafkaUnavailableError("topics neither exist nor can be created; they may still be being deleted")


def topic_configs(settings: KafkaSettings) -> dict[str, Mapping[str, str]]:
    """The settings of this project's topics on the cluster, in Kafka's words, by their names without prefix."""
    with admin_client(settings) as admin:
        return {name: found.configs for name, found in _existing(admin, settings).items()}


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


@dataclass(frozen=True, slots=True)
class _Existing:
    """One topic as the cluster has it."""

    partitions: int
    configs: Mapping[str, str]


def _existing(admin: Any, settings: KafkaSettings) -> dict[str, _Existing]:
    """This project's topics on the cluster, by their names without prefix."""
    there = set(admin.list_topics())
    names = {settings.named(topic): topic.name for topic in TOPICS.values() if settings.named(topic) in there}
    if not names:
        return {}
    counts = {found["name"]: len(found["partitions"]) for found in admin.describe_topics(sorted(names))}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in sorted(names)]
    described = admin.describe_configs(resources, config_filter="all").get("topic", {})
    configs = {name: {key: config["value"] for key, config in found.items()} for name, found in described.items()}
    return {plain: _Existing(counts[name], configs[name]) for name, plain in names.items()}


def _checked(settings: KafkaSettings, existing: Mapping[str, _Existing]) -> TopicReport:
    """What is to be created and how the rest differs; raises where it cannot work."""
    fatal = _shared_keys(settings, existing)
    differences: list[str] = []
    for name, found in sorted(existing.items()):
        for setting, needed in TOPICS[name].configs().items():
            has = found.configs.get(setting)
            if has == needed:
                continue
            text = f"{settings.named(name)}: {setting} is {has}, not {needed}"
            (fatal if setting == "cleanup.policy" else differences).append(text)
        if found.partitions != settings.partitions:
            differences.append(
                f"{settings.named(name)}: {found.partitions} partitions, not the configured {settings.partitions}"
            )
    if fatal:
        raise ConfigurationError(
            f"topics on the cluster cannot be used as they are: {'; '.join(fatal)}. Alter them with Kafka's own "
            "tools, for data could be lost otherwise, or set another KAFKA_TOPIC_PREFIX"
        )
    created = sorted(settings.named(name) for name in TOPICS if name not in existing)
    return TopicReport(created, sorted(map(settings.named, existing)), differences)


def _shared_keys(settings: KafkaSettings, existing: Mapping[str, _Existing]) -> list[str]:
    """Keys whose topics differ in their partition counts."""
    problems = []
    for key in sorted({topic.key for topic in TOPICS.values()}):
        found = {settings.named(name): of.partitions for name, of in existing.items() if TOPICS[name].key == key}
        if len(set(found.values())) > 1:
            listed = ", ".join(f"{name} has {count}" for name, count in sorted(found.items()))
            problems.append(f"topics with the key {key} need the same number of partitions, but {listed}")
    return problems


def _created(admin: Any, settings: KafkaSettings, names: Sequence[str], existing: Mapping[str, _Existing]) -> bool:
    """Create topics; False when another process creates them at the same time."""
    counts = {TOPICS[name].key: found.partitions for name, found in existing.items()}
    copies = settings.replication_factor
    durable = {"min.insync.replicas": str(max(1, copies - 1))}  # one copy may be down, none may be lost
    new = {}
    for name in names:
        topic = TOPICS[name.removeprefix(settings.topic_prefix)]
        new[name] = {
            "num_partitions": counts.get(topic.key, settings.partitions),
            "replication_factor": copies,
            "configs": {**topic.configs(), **durable},
        }
    try:
        admin.create_topics(new, timeout_ms=_REQUEST_TIMEOUT_MS, wait_for_metadata=True)
    except TopicAlreadyExistsError:
        time.sleep(_ATTEMPT_SECONDS)
        return False
    return True
