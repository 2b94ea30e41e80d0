"""The Kafka of a demo: the shop's own under a prefix of the demo's, or an embedded one that ends with it."""

from __future__ import annotations

import secrets
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from consumers.stages import STAGES
from deploy.embedded_kafka import EmbeddedKafka, EmbeddedKafkaSettings
from deploy.tether import tethered
from deploy.topics import admin_client, delete_topics, ensure_topics
from schemas.errors import KafkaUnavailableError
from schemas.kafka_settings import EMBEDDED_BOOTSTRAP_SERVERS, KafkaSettings

OnFetched = Callable[[int, int], None]
"""Told of progress: jars fetched so far, jars in all."""

_ANY_FREE_PORT = 0


@contextmanager
def demo_kafka(
    settings: KafkaSettings, folder: Path, *, keep: bool, on_fetched: OnFetched | None = None
) -> Iterator[KafkaSettings]:
    """How to reach a Kafka with the demo's topics on it; unless they are to be kept, they are gone at the end."""
    if settings.embedded:
        with _embedded(folder, keep=keep, on_fetched=on_fetched) as servers:
            yield _with_topics(settings.model_copy(update={"bootstrap_servers": servers}))
        return
    prefix = settings.topic_prefix + ("demo-" if keep else f"demo-{secrets.token_hex(4)}-")
    own = settings.model_copy(update={"topic_prefix": prefix})
    try:
        yield _with_topics(own)
    finally:
        if not keep:
            _remove_topics(own)


@contextmanager
def _embedded(folder: Path, *, keep: bool, on_fetched: OnFetched | None) -> Iterator[str]:
    data_dir = folder / "kafka"
    kafka = EmbeddedKafka(EmbeddedKafkaSettings(port=_port(), data_dir=data_dir))
    with _guarded(data_dir, () if keep else (folder,)):
        try:
            servers = kafka.up(on_fetched).bootstrap_servers
            assert servers is not None
            yield servers
        finally:
            kafka.down()


def _port() -> int:
    """Kafka's usual port, so that nothing has to be said in another terminal; any other where it is taken."""
    host, _, port = EMBEDDED_BOOTSTRAP_SERVERS.rpartition(":")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            probe.bind((host, int(port)))
            return int(port)
    return _ANY_FREE_PORT


@contextmanager
def _guarded(data_dir: Path, remove: tuple[Path, ...]) -> Iterator[None]:
    """The broker runs on its own, so somebody has to end it if this process cannot."""
    command = [sys.executable, "-m", "deploy.guard", str(data_dir), *map(str, remove)]
    guard = subprocess.Popen(tethered(command), stdin=subprocess.DEVNULL, process_group=0)
    try:
        yield
    finally:
        if sys.platform == "linux":
            guard.kill()  # there is nothing left for it to do, and so it need not begin
        else:
            guard.terminate()
        guard.wait()


def _with_topics(settings: KafkaSettings) -> KafkaSettings:
    ensure_topics(settings)
    return settings


def _remove_topics(settings: KafkaSettings) -> None:
    """Leave nothing on a cluster that others use too; a cluster that is gone is no reason to fail at the end."""
    with suppress(KafkaUnavailableError):
        delete_topics(settings)
        with admin_client(settings) as admin:
            admin.delete_groups([settings.named(stage) for stage in STAGES])
