"""The application: routes, limits and errors around an ``Edge``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Protocol

from fastapi import FastAPI, Request, Response
from pydantic.json_schema import models_json_schema
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from storefront.api import catalogue, events, health, models, problems, reading, search, snippet, streaming
from storefront.api.limits import Limits
from storefront.api.metrics import ApiMetrics, Measured
from storefront.api.state import Edge
from storefront.shop import routes as pages
from storefront.shop.rendering import Shop

_DESCRIPTION = """Recommendations that change while the shopper is on the page.

Lists are answered from memory. Events are acknowledged when Kafka has them. Errors are RFC 9457 problem details.
An id with a slash goes into `/lists?product=…`, where every list can be had."""


def _first_part(path: str) -> str:
    return path.split("/")[1]


_ROUTERS = (
    reading.lean_router,
    *(routes.router for routes in (reading, events, catalogue, search, streaming, health, snippet)),
)
_OF_THE_API = frozenset(_first_part(route.path) for router in _ROUTERS for route in router.routes)


class Resource(Protocol):
    """Something that works while the application does."""

    async def start(self) -> None:
        """Begin."""
        ...

    async def close(self) -> None:
        """End, within seconds."""
        ...


def create_app(
    edge: Edge,
    resources: Sequence[Resource] = (),
    shop: Shop | None = None,
    metrics: ApiMetrics | None = None,
) -> FastAPI:
    """The application; ``resources`` are started with it in their order, and closed in the reverse one.

    The state has the ``edge``; with a ``shop`` its pages are served too.
    """

    metrics = metrics or ApiMetrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for resource in resources:
                stack.push_async_callback(resource.close)
                await resource.start()
            yield

    app = FastAPI(
        title="Streaming recommender",
        version="1",
        description=_DESCRIPTION,
        lifespan=lifespan,
        middleware=_middleware(edge, metrics),
        docs_url=None,  # the usual pages load their scripts from elsewhere
        redoc_url=None,
    )
    app.state.edge, app.state.metrics = edge, metrics
    problems.install(app, None if shop is None else _page_not_found)
    for router in _ROUTERS:
        app.include_router(router)
    if shop is not None:
        app.state.shop = shop
        app.include_router(pages.router)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


async def _page_not_found(request: Request) -> Response | None:
    """A page for people who look for one; what is below the API's addresses stays a problem document."""
    if "text/html" not in request.headers.get("accept", "") or _first_part(request.url.path) in _OF_THE_API:
        return None
    return await pages.no_such_page(request)


def _middleware(edge: Edge, metrics: ApiMetrics) -> list[Middleware]:
    wrapped = [Middleware(Measured, metrics=metrics), Middleware(Limits, settings=edge.settings)]
    if edge.settings.allowed_origins:
        cross_origin = Middleware(
            CORSMiddleware,
            allow_origins=sorted(edge.settings.allowed_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Content-Type", "Last-Event-ID"],
        )
        wrapped.insert(0, cross_origin)
    return wrapped


def _openapi(app: FastAPI) -> dict[str, Any]:
    """FastAPI's document, with the bodies that routes read on their own and with our errors in place of its."""
    if app.openapi_schema is None:
        document = FastAPI.openapi(app)
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        schemas.update(_schemas(problems.ProblemDocument, models.NewProduct, models.ImageLink))
        schemas.update(events.EVENTS.components())
        app.openapi_schema = document
    return app.openapi_schema


def _schemas(*of: Any) -> dict[str, Any]:
    _, found = models_json_schema(
        [(model, "validation") for model in of], ref_template="#/components/schemas/{model}"
    )
    schemas: dict[str, Any] = found["$defs"]
    return schemas
