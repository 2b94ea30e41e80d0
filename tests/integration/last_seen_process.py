"""The toy stage as a process, for tests that kill it; settings come from the environment."""

from __future__ import annotations

import logging

from last_seen import LastSeen

from consumers.configuration import load
from consumers.runtime.process import run_stage

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    configuration = load()
    run_stage(LastSeen(), configuration.kafka, configuration.runtime)
