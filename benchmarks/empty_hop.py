"""One empty hop as a process: each view is copied to co-visits in a transaction of its own; SIGTERM ends it."""

from __future__ import annotations

import logging
import signal

from benchmarks.empty_loop import EmptyLoop
from consumers.configuration import load
from consumers.runtime.stage import StageSpec
from schemas.topics import CO_VISITS, PDP_VIEW


def main() -> None:
    """Run until asked to stop."""
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: stopping.append(number))
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    loop = EmptyLoop(load().kafka, StageSpec("empty-hop", inputs=(PDP_VIEW,)), CO_VISITS, one_in=1)
    try:
        loop.run_until(lambda taken: bool(stopping))
    finally:
        loop.close()


if __name__ == "__main__":
    main()
