"""``/recs.js``: the script that a shop puts into its own pages, sent without its comments and indents."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from fastapi import APIRouter, Response

router = APIRouter(include_in_schema=False)

_SOURCE = Path(__file__).with_name("static") / "recs.js"
_HEADERS = {"Cache-Control": "public, max-age=3600", "Access-Control-Allow-Origin": "*"}


@router.get("/recs.js")
async def recs_js() -> Response:
    """The script; any page may load it, and the API answers the origins that are allowed."""
    return Response(snippet(), headers=_HEADERS, media_type="text/javascript; charset=utf-8")


@cache
def snippet() -> bytes:
    """The script as it is sent."""
    lines = (line.strip() for line in _SOURCE.read_text(encoding="utf-8").splitlines())
    return "\n".join(line for line in lines if line and not line.startswith(("//", "/*"))).encode()
