"""What the routes of one process share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from fastapi import Request

from storefront.api.publisher import EdgePublisher
from storefront.api.rendering import Renderer
from storefront.api.settings import ApiSettings
from storefront.api.stream import StreamHub
from storefront.image_search import ImageSearch
from storefront.shelves import Shelves
from storefront.tables import Tables


@dataclass(frozen=True, slots=True)
class Edge:
    """Everything that a route needs; in the application's ``state.edge``."""

    settings: ApiSettings
    tables: Tables
    shelves: Shelves
    renderer: Renderer
    publisher: EdgePublisher
    hub: StreamHub
    image_search: ImageSearch | None
    fetch_image: Callable[[str], bytes]
    """Fetches a picture over http(s), from public addresses alone; raises an ``ImageError``."""
    photo_turns: asyncio.Semaphore


def edge_of(request: Request) -> Edge:
    """The edge that a request came to."""
    edge: Edge = request.app.state.edge
    return edge
