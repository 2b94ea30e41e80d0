"""Every stage as a process of its own, as an operator runs them."""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from consumers.stages import STAGES
from deploy.supervisor import ProcessSpec
from schemas.kafka_settings import KafkaSettings

_HOST = "127.0.0.1"


def stage_processes(kafka: KafkaSettings, images_dir: Path) -> Sequence[ProcessSpec]:
    """Specifications for a supervisor: metrics and health on free ports of the loopback interface."""
    servers = ",".join(kafka.client_options()["bootstrap_servers"])
    specs = []
    for name, port in zip(STAGES, _free_ports(len(STAGES)), strict=True):
        environment = {
            "KAFKA_BOOTSTRAP_SERVERS": servers,
            "KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
            "RECSYS_IMAGES__FETCH__IMAGES_DIR": str(images_dir),
            "RECSYS_RUNTIME__INSTANCE": "bench",
            "RECSYS_RUNTIME__METRICS_HOST": _HOST,
            "RECSYS_RUNTIME__METRICS_PORT": str(port),
        }
        command = [sys.executable, "-m", "cli.main", "run", name]
        specs.append(ProcessSpec(name, command, environment, f"http://{_HOST}:{port}/ready"))
    return specs


def free_port() -> int:
    """A port of the loopback interface that nobody listens on just now."""
    return _free_ports(1)[0]


def _free_ports(number: int) -> list[int]:
    listeners = [socket.create_server((_HOST, 0)) for _ in range(number)]
    try:
        return [int(listener.getsockname()[1]) for listener in listeners]
    finally:
        for listener in listeners:
            listener.close()
