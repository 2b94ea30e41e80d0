"""Runs one stage as a process: signals, metrics and health, and a way out within a bounded time."""

from __future__ import annotations

import logging
import os
import signal
import threading
from types import FrameType

from consumers.runtime.health import HealthServer
from consumers.runtime.kafka_transport import KafkaTransport
from consumers.runtime.metrics import StageMetrics
from consumers.runtime.settings import RuntimeSettings
from consumers.runtime.stage import Stage
from consumers.runtime.worker import Worker
from schemas.kafka_settings import KafkaSettings

STOP_SECONDS = 9.0
"""A stop that takes longer, because Kafka does not answer, is cut short; what was not committed is not there."""

_log = logging.getLogger(__name__)


def run_stage(stage: Stage, kafka: KafkaSettings, runtime: RuntimeSettings) -> None:
    """Run until SIGTERM or SIGINT; call it on the main thread.

    Raises ``KafkaUnavailableError`` when no Kafka answers at the start, ``ConfigurationError`` for what a person
    has to mend, and the last error when it happens again and again.
    """
    name = stage.spec.name
    metrics = StageMetrics(name)
    worker = Worker(stage, KafkaTransport(stage.spec, kafka, runtime), settings=runtime.worker, metrics=metrics)

    def stop(signum: int, frame: FrameType | None) -> None:
        _log.info("stopping on %s", signal.Signals(signum).name)
        worker.stop()
        threading.Thread(target=_cut_short, name="stop-limit", daemon=True).start()

    health = HealthServer(runtime.metrics_host, runtime.metrics_port, metrics.registry, lambda: worker.ready)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    _log.info("%s runs; metrics on http://%s:%d/metrics", name, runtime.metrics_host, health.port)
    try:
        worker.run()
    finally:
        health.close()
    _log.info("%s stopped", name)


def _cut_short() -> None:
    threading.Event().wait(STOP_SECONDS)
    _log.warning("not stopped after %.0f s; leaving without a word to Kafka", STOP_SECONDS)
    os._exit(1)
