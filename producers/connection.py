"""How the client reaches Kafka: its limits, its connection, and which partition a key goes to."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError
from kafka.partitioner import murmur2
from kafka.partitioner.abc import Partitioner
from pydantic import BaseModel, ConfigDict, Field

from schemas.errors import KafkaUnavailableError
from schemas.kafka_settings import KafkaSettings


class ClientLimits(BaseModel):
    """How much the client holds back, and for how long it tries."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_pending: int = Field(default=20_000, ge=1, description="events sent and not yet acknowledged")
    max_pending_bytes: int = Field(default=32_000_000, ge=1, description="bytes of them")
    max_block_ms: int = Field(
        default=30_000, ge=1, description="longest wait for room, or for the topic's metadata"
    )
    connect_timeout_ms: int = Field(default=10_000, ge=1, description="longest wait for the first connection")
    delivery_timeout_ms: int = Field(
        default=60_000, ge=1_000, description="how long delivery of one event is tried"
    )
    linger_ms: int = Field(default=5, ge=0, description="how long an event waits for others to share its request")
    close_timeout_ms: int = Field(default=30_000, ge=0, description="longest wait for acknowledgements on close")
    kept_failures: int = Field(default=1_000, ge=1, description="events that a DeliveryError holds at most")


def connected(settings: KafkaSettings, limits: ClientLimits) -> Any:
    """An idempotent kafka-python producer; raises ``KafkaUnavailableError`` when no Kafka answers."""
    options = settings.client_options()
    try:
        return KafkaProducer(
            **options,
            acks="all",
            enable_idempotence=True,
            allow_auto_create_topics=False,
            linger_ms=limits.linger_ms,
            batch_size=64_000,
            max_block_ms=limits.max_block_ms,
            bootstrap_timeout_ms=limits.connect_timeout_ms,
            delivery_timeout_ms=limits.delivery_timeout_ms,
            request_timeout_ms=min(15_000, limits.delivery_timeout_ms // 2),
            retry_backoff_ms=20,
            reconnect_backoff_max_ms=1_000,
            partitioner=JavaPartitioner(),
            metrics_enabled=False,
        )
    except KafkaError as error:
        raise KafkaUnavailableError(
            f"no Kafka answers at {','.join(options['bootstrap_servers'])} ({reason(error)}); start one with "
            "`recsys kafka up`, or set KAFKA_BOOTSTRAP_SERVERS to the shop's own"
        ) from error


@lru_cache(maxsize=100_000)
def _hash(key: bytes) -> int:
    """Positive murmur2 of a key, as Kafka's Java client has it; kept, for it is slow in Python."""
    return int(murmur2(key)) & 0x7FFFFFFF


class JavaPartitioner(Partitioner):  # type: ignore[misc]
    """The default partition of Kafka's Java client for messages with a key: murmur2 modulo their number."""

    def partition(
        self, topic: str, key: Any, serialized_key: bytes, value: Any, serialized_value: Any, cluster: Any
    ) -> int:
        """The partition of a key; Kafka numbers a topic's partitions from 0."""
        return _hash(serialized_key) % len(cluster.partitions_for_topic(topic))


def reason(error: BaseException) -> str:
    """What an error of kafka-python says, or its name where it says nothing."""
    return str(error) or type(error).__name__
