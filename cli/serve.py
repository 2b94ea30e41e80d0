"""``recsys serve``: the HTTP edge and the pages as a process."""

from __future__ import annotations

import logging
import os
from typing import Annotated

import typer


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on instead of the configured one.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65_535, help="Port of it.")] = None,
) -> None:
    """Answer pages with lists over HTTP, and take what shoppers do, until SIGTERM or Ctrl-C.

    The API is described at /openapi.json; /live and /ready are for an orchestrator. Settings: RECSYS_API__….
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

    from storefront.api.server import serve as serve_until_stopped
    from storefront.configuration import load_storefront

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # what it raises is said by us, and it logs each retry
    configuration = load_storefront()
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    api = configuration.api.model_copy(update=given)
    serve_until_stopped(configuration.model_copy(update={"api": api}))
