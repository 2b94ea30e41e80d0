"""The broker's settings: small, quick to start, quick to give up on a killed producer."""

from __future__ import annotations

from pathlib import Path

from deploy.embedded_kafka.errors import EmbeddedKafkaError
from schemas.topics import TOPICS

_MESSAGE_OVERHEAD_BYTES = 100_000
"""Room for headers and the batch around the largest message."""


def server_properties(port: int, controller_port: int, log_dir: Path) -> str:
    """The text of ``server.properties``, ASCII; raises ``EmbeddedKafkaError`` for a folder that it cannot name."""
    if "," in str(log_dir):
        raise EmbeddedKafkaError(f"Kafka reads {log_dir} as several folders; name one without a comma")
    max_bytes = max(topic.max_message_bytes for topic in TOPICS.values()) + _MESSAGE_OVERHEAD_BYTES
    settings = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": log_dir,
        "auto.create.topics.enable": "false",
        "message.max.bytes": max_bytes,
        "replica.fetch.max.bytes": max_bytes,
        "num.network.threads": 2,
        "num.io.threads": 4,
        "offsets.topic.num.partitions": 3,
        "offsets.topic.replication.factor": 1,
        "transaction.state.log.num.partitions": 3,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        # A reader at read_committed waits for open transactions: look for abandoned ones often.
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1_000,
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1_000,
        # Defaults are for servers: 128 MB for compaction, and 10 MB of index for each segment.
        "log.cleaner.dedupe.buffer.size": 16_777_216,
        "log.index.size.max.bytes": 1_048_576,
    }
    return "".join(f"{name}={_escaped(str(value))}\n" for name, value in settings.items())


def _escaped(value: str) -> str:
    """As java.util.Properties reads it: Latin-1, backslash escapes, and every other letter by its UTF-16 code."""
    codes = memoryview(value.encode("utf-16-le", "surrogatepass")).cast("H")
    return "".join(chr(code) if 32 <= code < 127 and code != 92 else f"\\u{code:04x}" for code in codes)
