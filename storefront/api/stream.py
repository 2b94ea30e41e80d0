"""Server-sent events: the lists that a page shows, each time one changes.

What is sent is the list as it is, not a difference, so a client that missed some needs the newest alone. An
event's id is the list's time of publication. A client that comes back with it gets every list of its page that was
published since, less a margin: transactions become visible in another order than they were begun. It may get a
list twice, under the same revision.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from schemas.events import ProductCreated, RecommendationUpdated
from storefront.api.settings import StreamLimits
from storefront.errors import TablesUnavailableError
from storefront.lists import Listed
from storefront.tables import Tables, product_of
from storefront.wording import product_name, reason_text

EVENT_NAME = "recommendation-updated"
PRODUCT_EVENT_NAME = "product-updated"
RESUME_MARGIN_MS = 30_000
"""As long as a transaction may take between the timestamps of its messages and its commit."""

_NO_CAUSE = {"event_time_ms": 0, "caused_by": "", "caused_at_ms": 0, "published_at_ms": 0}
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class StreamClient:
    """One open stream: the keys it follows, and what waits to be sent to it."""

    def __init__(self, keys: Iterable[str], queue_events: int) -> None:
        self.keys = frozenset(keys)
        self.queue: asyncio.Queue[tuple[str, Listed | None] | None] = asyncio.Queue(queue_events + 1)
        self.dropped = False

    def offer(self, change: tuple[str, Listed | None]) -> None:
        """Put a change into the queue; a client with a full one is dropped, and resumes when it comes back."""
        if self.queue.qsize() >= self.queue.maxsize - 1:
            self.end()
        elif not self.dropped:
            self.queue.put_nowait(change)

    def end(self) -> None:
        """End the stream after what is in the queue."""
        if not self.dropped:
            self.dropped = True
            self.queue.put_nowait(None)


class StreamHub:
    """Hands changes to the streams that follow them; for the event loop's thread alone."""

    def __init__(self, limits: StreamLimits) -> None:
        self._limits = limits
        self._followers: dict[str, set[StreamClient]] = {}
        self._clients: set[StreamClient] = set()

    @property
    def clients(self) -> int:
        """Open streams."""
        return len(self._clients)

    @property
    def full(self) -> bool:
        """True while no further stream is taken."""
        return len(self._clients) >= self._limits.max_clients

    def follows(self, key: str) -> bool:
        """True where a stream follows this list."""
        return key in self._followers

    def publish(self, changes: Sequence[tuple[str, Listed | None]]) -> None:
        """Hand out changes, None for a list that was withdrawn."""
        for change in changes:
            for client in self._followers.get(change[0], ()):
                client.offer(change)

    def open(self, keys: Iterable[str]) -> StreamClient:
        """A new stream; has to be given to ``close`` in the end."""
        client = StreamClient(keys, self._limits.queue_events)
        self._clients.add(client)
        for key in client.keys:
            self._followers.setdefault(key, set()).add(client)
        return client

    def close(self, client: StreamClient) -> None:
        """Forget a stream."""
        self._clients.discard(client)
        for key in client.keys:
            followers = self._followers.get(key, set())
            followers.discard(client)
            if not followers:
                self._followers.pop(key, None)

    def end_all(self) -> None:
        """End every stream, as the server stops."""
        for client in tuple(self._clients):
            client.end()


class EventStream(Response):
    """An answer that goes on: what changed since, then what changes."""

    media_type = "text/event-stream"

    def __init__(
        self, hub: StreamHub, tables: Tables, limits: StreamLimits, keys: Iterable[str], since_ms: int | None
    ):
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._hub, self._tables, self._limits = hub, tables, limits
        self._keys, self._since_ms = list(dict.fromkeys(keys)), since_ms

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the client is gone, too slow, or the server stops."""
        client = self._hub.open(self._keys)
        gone = asyncio.create_task(_until_gone(receive))
        sending = asyncio.create_task(self._send_all(client, send))
        try:
            await asyncio.wait({gone, sending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._hub.close(client)
            for task in (gone, sending):
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError, TimeoutError, OSError, TablesUnavailableError):
                await asyncio.gather(gone, sending)

    async def _send_all(self, client: StreamClient, send: Send) -> None:
        await self._within({"type": "http.response.start", "status": 200, "headers": self.raw_headers}, send)
        await self._part(send, b"retry: 1000\n\n" + await self._missed())
        while True:
            try:
                change = await asyncio.wait_for(client.queue.get(), self._limits.heartbeat_seconds)
            except TimeoutError:
                await self._part(send, b": still here\n\n")
                continue
            if change is None:
                break
            await self._part(send, await self._event(*change))
        await self._part(send, b"", last=True)

    async def _part(self, send: Send, data: bytes, *, last: bool = False) -> None:
        await self._within({"type": "http.response.body", "body": data, "more_body": not last}, send)

    async def _within(self, message: Message, send: Send) -> None:
        await asyncio.wait_for(send(message), self._limits.send_timeout_seconds)

    async def _missed(self) -> bytes:
        """The lists that were published since the client's last event, oldest first."""
        if self._since_ms is None or not self._keys:
            return b""
        found = zip(self._keys, await self._tables.lists(self._keys), strict=True)
        since_ms = self._since_ms - RESUME_MARGIN_MS
        missed = [
            (key, listed) for key, listed in found if listed is not None and listed.published_at_ms >= since_ms
        ]
        missed.sort(key=lambda change: change[1].published_at_ms)
        return b"".join([await self._event(*change) for change in missed])

    async def _event(self, key: str, listed: Listed | None) -> bytes:
        product_id = product_of(key)
        if product_id is not None:
            product = (await self._tables.products([product_id])).get(product_id)
            available = product is not None and product.in_stock
            return _encoded(None, {"product_id": product_id, "available": available}, PRODUCT_EVENT_NAME)
        if listed is None:
            kind, _, subject = key.partition(":")
            withdrawn = {"kind": kind, "subject": subject, "revision": 0, "items": [], **_NO_CAUSE}
            return _encoded(None, withdrawn)
        ids = [item.product_id for item in listed.recommendation.items]
        ids += [item.because for item in listed.recommendation.items if item.because]
        products = await self._tables.products(ids)
        return _encoded(
            f"{listed.published_at_ms}-{listed.recommendation.revision}",
            event_document(listed, products),
        )


def event_document(listed: Listed, products: Any) -> dict[str, Any]:
    """The list as it is sent: products that can no longer be shown are left out."""
    found = listed.recommendation
    return {
        "kind": found.kind,
        "subject": found.subject,
        "revision": found.revision,
        "items": _items(found, products),
        "event_time_ms": found.event_time_ms,
        "caused_by": found.caused_by,
        "caused_at_ms": found.caused_at_ms,
        "published_at_ms": listed.published_at_ms,
    }


def resume_from_ms(last_event_id: str | None) -> int | None:
    """The time in an event's id; None for one that is not ours."""
    head = (last_event_id or "").partition("-")[0]
    return int(head) if head.isascii() and head.isdigit() and len(head) <= 15 else None


def _items(found: RecommendationUpdated, products: dict[str, ProductCreated]) -> list[dict[str, Any]]:
    def name(product_id: str) -> str:
        return product_name(product_id, products.get(product_id))

    shown = [item for item in found.items if (product := products.get(item.product_id)) and product.in_stock]
    return [
        {
            "product_id": item.product_id,
            "score": item.score,
            "rank": rank,
            "reason": item.reason,
            "because": item.because,
            "text": reason_text(item, name),
        }
        for rank, item in enumerate(shown, start=1)
    ]


def _encoded(event_id: str | None, document: dict[str, Any], name: str = EVENT_NAME) -> bytes:
    head = f"event: {name}\n" + ("" if event_id is None else f"id: {event_id}\n")
    return head.encode() + b"data: " + orjson.dumps(document) + b"\n\n"


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
