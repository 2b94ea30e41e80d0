"""What anybody may ask of the server: size of a body, requests a second; as ASGI middleware around all routes."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from storefront.api.problems import MEDIA_TYPE, ProblemError
from storefront.api.settings import ApiSettings, RateLimits

_IMAGE_PATHS = frozenset({"/search/image", "/search"})
_UNLIMITED_PATHS = frozenset({"/live", "/ready"})
_FORM_OVERHEAD_BYTES = 10_000


class RateLimiter:
    """Token buckets by client and sort of request; the client that was silent for longest is forgotten first."""

    def __init__(self, limits: RateLimits, now_seconds: Callable[[], float] = time.monotonic) -> None:
        self._rates = {
            "read": limits.reads_per_second,
            "write": limits.writes_per_second,
            "image": limits.image_searches_per_second,
        }
        self._burst_seconds = limits.burst_seconds
        self._max_buckets = limits.max_clients
        self._now_seconds = now_seconds
        self._buckets: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def wait_seconds(self, client: str, sort: str) -> float:
        """0 and one request is counted; else how long until there is room for one."""
        rate = self._rates[sort]
        if rate <= 0:
            return 0.0
        now = self._now_seconds()
        most = max(1.0, rate * self._burst_seconds)
        key = (client, sort)
        left, at = self._buckets.pop(key, (most, now))
        left = min(most, left + (now - at) * rate)
        allowed = left >= 1.0
        self._buckets[key] = (left - 1.0 if allowed else left, now)
        if len(self._buckets) > self._max_buckets:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1.0 - left) / rate


class Limits:
    """Refuses with 429 and 413, and says of every answer that its type is not to be guessed."""

    def __init__(self, app: ASGIApp, settings: ApiSettings) -> None:
        self._app = app
        self._limiter = RateLimiter(settings.rates)
        self._max_body_bytes = settings.max_body_bytes
        self._max_image_bytes = settings.max_image_bytes + _FORM_OVERHEAD_BYTES

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on where it is within the limits."""
        if scope["type"] != "http" or scope["path"] in _UNLIMITED_PATHS:
            await self._app(scope, receive, send)
            return
        is_image = scope["path"] in _IMAGE_PATHS
        reading = scope["method"] in ("GET", "HEAD", "OPTIONS")
        sort = "read" if reading else "image" if is_image else "write"
        client = scope["client"][0] if scope.get("client") else ""
        wait_seconds = self._limiter.wait_seconds(client, sort)
        if wait_seconds > 0:
            await _refuse(send, 429, "too many requests; send fewer", retry_after=max(1, round(wait_seconds)))
            return
        if not reading:
            limit = self._max_image_bytes if is_image else self._max_body_bytes
            if _declared_bytes(scope) > limit:
                await _refuse(send, 413, f"the body has more than {limit:,} bytes")
                return
            receive = _limited(receive, limit)
        await self._app(scope, receive, _unsniffed(send))


def _declared_bytes(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else 0
    return 0


def _limited(receive: Receive, limit: int) -> Receive:
    """The body as it comes, up to the limit; raises ``ProblemError`` 413 beyond it."""
    taken = 0

    async def within() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > limit:
            raise ProblemError(413, f"the body has more than {limit:,} bytes")
        return message

    return within


def _unsniffed(send: Send) -> Send:
    async def with_header(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), (b"x-content-type-options", b"nosniff")]
        await send(message)

    return with_header


async def _refuse(send: Send, status: int, detail: str, retry_after: int | None = None) -> None:
    title = {429: "Too Many Requests", 413: "Content Too Large"}[status]
    body = orjson.dumps({"type": "about:blank", "title": title, "status": status, "detail": detail})
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    if retry_after is not None:
        headers.append((b"retry-after", str(retry_after).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
