"""Prometheus metrics of the HTTP edge; names and labels are a contract with the dashboards."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_UNKNOWN_ROUTE = "none"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class ApiMetrics:
    """The metrics of one process, in a registry of their own."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._requests = Counter(
            "recsys_api_requests", "Requests answered.", ["route", "method", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "recsys_api_request_seconds",
            "Time until the answer began.",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )

    def watch(self, name: str, documentation: str, value: Callable[[], float]) -> None:
        """A gauge that is asked for its value when it is scraped."""
        Gauge(name, documentation, registry=self.registry).set_function(value)

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """One answer has begun."""
        self._requests.labels(route, method if method in _METHODS else "other", str(status)).inc()
        self._seconds.labels(route).observe(seconds)


class Measured:
    """ASGI middleware: times each request until its answer begins, by route and never by path."""

    def __init__(self, app: ASGIApp, metrics: ApiMetrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and time it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = perf_counter()

        async def timed(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", _UNKNOWN_ROUTE)
                self._metrics.answered(route, scope["method"], message["status"], perf_counter() - began)
            await send(message)

        await self._app(scope, receive, timed)
