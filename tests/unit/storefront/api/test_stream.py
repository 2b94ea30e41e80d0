from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from storefront.api.settings import StreamLimits
from storefront.api.stream import EventStream, StreamHub, resume_from_ms


class Browser:
    """Reads one stream without a socket; ``reading`` False is a client that does not."""

    def __init__(self, stream: EventStream) -> None:
        self.received = b""
        self.reading = asyncio.Event()
        self.reading.set()
        self._gone = asyncio.Event()
        self.task = asyncio.create_task(stream({"type": "http"}, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        await self.reading.wait()
        self.received += message.get("body", b"")

    def leave(self) -> None:
        self._gone.set()

    async def until(self, count: int) -> list[dict[str, Any]]:
        while len(self.events) < count:
            await asyncio.wait_for(asyncio.sleep(0.001), 5)
        return self.events

    @property
    def events(self) -> list[dict[str, Any]]:
        lines = self.received.decode().splitlines()
        return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


def stream(shop: Any, hub: StreamHub, keys: list[str], since_ms: int | None = None, **limits: Any) -> Browser:
    return Browser(EventStream(hub, shop.tables, StreamLimits(**limits), keys, since_ms))


@pytest.fixture
def hub(shop: Any) -> StreamHub:
    made = StreamHub(StreamLimits(queue_events=3))
    shop.tables.on_changes = made.publish
    shop.products("a", "b", "c")
    return made


def test_a_change_reaches_the_pages_that_show_it(shop: Any, hub: StreamHub) -> None:
    async def scenario() -> None:
        mine, other = stream(shop, hub, ["for-you:u", "similar:p"]), stream(shop, hub, ["for-you:v"])
        await asyncio.sleep(0)
        shop.listed("for-you", "u", "a b gone", reason="because-viewed", revision=4, at_ms=7)
        shop.listed("similar", "p", "b")
        shop.listed("similar", "q", "b")
        first, second = await mine.until(2)
        assert (first["kind"], first["subject"], first["revision"], first["published_at_ms"]) == (
            "for-you",
            "u",
            4,
            7,
        )
        assert [(item["rank"], item["product_id"]) for item in first["items"]] == [(1, "a"), (2, "b")]
        assert {"score", "reason", "because", "text"} <= first["items"][0].keys()
        assert (first["caused_by"], first["caused_at_ms"], first["event_time_ms"]) == ("pdp-view/e1", 900, 0)
        assert second["kind"] == "similar"
        assert b"event: recommendation-updated\nid: 7-4\n" in mine.received
        assert other.events == []
        for browser in (mine, other):
            browser.leave()
            await browser.task
        assert (hub.clients, hub.follows("for-you:u")) == (0, False)

    asyncio.run(scenario())


def test_a_withdrawn_list_is_an_empty_one(shop: Any, hub: StreamHub) -> None:
    async def scenario() -> None:
        shop.listed("for-you", "u", "a")
        browser = stream(shop, hub, ["for-you:u"])
        await asyncio.sleep(0)
        shop.put("recommendation-updated", "for-you:u", None)
        assert (await browser.until(1))[0]["items"] == []
        browser.leave()
        await browser.task

    asyncio.run(scenario())


def test_who_comes_back_gets_what_changed_meanwhile(shop: Any, hub: StreamHub) -> None:
    async def scenario() -> None:
        shop.listed("for-you", "u", "a", at_ms=100_000)
        shop.listed("similar", "p", "b", at_ms=50_000)
        shop.listed("similar", "old", "b", at_ms=10_000)
        keys = ["similar:old", "for-you:u", "similar:p", "similar:none"]
        browser = stream(shop, hub, keys, resume_from_ms("70000-3"))
        assert [event["subject"] for event in await browser.until(2)] == ["p", "u"]
        fresh = stream(shop, hub, keys, resume_from_ms(None))
        await asyncio.sleep(0.01)
        assert fresh.events == []
        for each in (browser, fresh):
            each.leave()
            await each.task

    asyncio.run(scenario())


def test_a_slow_client_is_dropped_and_keeps_nothing(shop: Any, hub: StreamHub) -> None:
    async def scenario() -> None:
        slow = stream(shop, hub, ["for-you:u"], send_timeout_seconds=0.01, queue_events=3)
        await asyncio.sleep(0)
        slow.reading.clear()
        for revision in range(1, 9):
            shop.listed("for-you", "u", "a b", revision=revision)
        await asyncio.wait_for(slow.task, 5)
        assert hub.clients == 0

    asyncio.run(scenario())


def test_silence_is_broken_by_heartbeats_and_the_end_ends_the_streams(shop: Any, hub: StreamHub) -> None:
    async def scenario() -> None:
        browser = stream(shop, hub, [], heartbeat_seconds=0.005)
        while browser.received.count(b": still here") < 2:
            await asyncio.sleep(0.001)
        hub.end_all()
        await asyncio.wait_for(browser.task, 5)

    asyncio.run(scenario())


@pytest.mark.parametrize("given", ["", "x", "-1", "9" * 16, "٣"])
def test_an_id_that_is_not_ours_is_passed_over(given: str) -> None:
    assert resume_from_ms(given) is None


def test_a_stream_follows_a_bounded_number(api: Any) -> None:
    many = ",".join(f"p{n}" for n in range(51))
    assert api.get("/stream", params={"products": many}).status_code == 422
