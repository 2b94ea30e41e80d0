"""A page is told of the products that it shows when they can no longer be bought."""

from __future__ import annotations

import asyncio
from typing import Any

from storefront.api.settings import StreamLimits
from storefront.api.stream import EventStream, StreamHub
from storefront.tables import product_key, product_of


def test_a_page_is_told_of_products_that_are_gone_and_back(shop: Any) -> None:
    hub = StreamHub(StreamLimits())
    shop.tables.on_changes = hub.publish
    shop.products("a", "b")
    received: list[bytes] = []

    async def scenario() -> None:
        gone = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            received.append(message.get("body", b""))

        stream = EventStream(hub, shop.tables, StreamLimits(), [product_key("a")], 0)
        task = asyncio.create_task(stream({"type": "http"}, receive, send))
        await asyncio.sleep(0)
        shop.retired("b")
        for change, count in ((shop.retired, 1), (shop.products, 2), (shop.sold_out, 3)):
            change("a")
            while b"".join(received).count(b"product-updated") < count:
                await asyncio.wait_for(asyncio.sleep(0.001), 5)
        gone.set()
        await task

    asyncio.run(scenario())
    told = [part.partition(b"data: ")[2] for part in received if b"product-updated" in part]
    assert told == [
        b'{"product_id":"a","available":false}\n\n',
        b'{"product_id":"a","available":true}\n\n',
        b'{"product_id":"a","available":false}\n\n',
    ]


def test_a_key_says_whether_it_stands_for_a_product() -> None:
    assert product_of(product_key("a:b")) == "a:b"
    assert product_of("similar:product:a") is None


def test_a_stream_tells_of_so_many_products_at_most(api: Any) -> None:
    answer = api.get("/stream", params={"shown": ",".join(map(str, range(201)))})
    assert answer.status_code == 422
