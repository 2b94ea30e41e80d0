"""The command line where no Kafka answers: one clear line, and no traceback."""

from __future__ import annotations

import os
import subprocess
import sys


def test_an_unreachable_kafka_is_one_line_and_status_1() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "kafka", "topics"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"},
    )
    assert done.returncode == 1
    assert done.stderr.startswith("recsys: no Kafka answers at 127.0.0.1:1")
    assert "Traceback" not in done.stderr
