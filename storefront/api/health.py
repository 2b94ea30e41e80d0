"""Whether the process lives, and whether its tables are there: for an orchestrator."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from storefront.api import models
from storefront.api.problems import answers
from storefront.api.rendering import json_response
from storefront.api.state import edge_of

router = APIRouter(tags=["health"])


@router.get("/live", response_model=models.Health, responses=answers(503))
async def live(request: Request) -> Response:
    """200 while the process answers."""
    return json_response((await edge_of(request).tables.freshness())._asdict())


@router.get("/ready", response_model=models.Health, responses={503: {"model": models.Health}})
async def ready(request: Request) -> Response:
    """200 once everything that was on the topics at the start is in; 503 before."""
    freshness = await edge_of(request).tables.freshness()
    return json_response(freshness._asdict(), 200 if freshness.ready else 503)
