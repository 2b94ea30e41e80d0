"""Stops an embedded Kafka and removes a folder once the process that asked for it is gone, however it ended.

    python -m deploy.tether PARENT_PID python -m deploy.guard KAFKA_DATA_DIR [FOLDER_TO_REMOVE]

It sleeps until the SIGTERM that the tether sends, or that its parent sends in the end; then there may be nothing
left to do.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

_STAGES_SECONDS = 3.0
"""How long stages that end for the same reason may still say goodbye to Kafka."""


def main(arguments: Sequence[str]) -> None:
    """Wait for the end, then clean up."""
    parent_pid = os.getppid()
    signals = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    signal.sigwait(signals)
    if os.getppid() != parent_pid:
        time.sleep(_STAGES_SECONDS)
    data_dir, *folders = arguments
    if Path(data_dir).exists():
        # Only now, for a process that does nothing should cost nothing.
        from deploy.embedded_kafka import EmbeddedKafka, EmbeddedKafkaSettings

        EmbeddedKafka(EmbeddedKafkaSettings(data_dir=Path(data_dir))).down()
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
