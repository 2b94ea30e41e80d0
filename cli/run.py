"""``recsys run STAGE``: one stage as a process."""

from __future__ import annotations

import logging
import os
from typing import Annotated

import typer

_STAGES = (
    "image-features",
    "similar-products",
    "interactions",
    "item-neighbours",
    "item-factors",
    "trending",
    "outcomes",
)


def _complete(incomplete: str) -> list[str]:
    return [name for name in _STAGES if name.startswith(incomplete)]


def run(
    stage: Annotated[str, typer.Argument(help=f"One of {', '.join(_STAGES)}.", autocompletion=_complete)],
) -> None:
    """Run one stage until SIGTERM or Ctrl-C; start it again, here or elsewhere, to share its partitions.

    It serves Prometheus metrics on /metrics and its health on /live and /ready; RECSYS_RUNTIME__METRICS_PORT
    says where.
    """
    # Before numpy is loaded. Its threads wait for each other: with several stages on a few cores, one is faster.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

    from consumers.configuration import load
    from consumers.runtime.process import run_stage
    from consumers.stages import make_stage

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # what it raises is said by us, and it logs each retry
    configuration = load()
    os.nice(configuration.runtime.niceness)
    run_stage(make_stage(stage, configuration), configuration.kafka, configuration.runtime)
