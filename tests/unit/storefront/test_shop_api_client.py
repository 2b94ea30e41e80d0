from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from storefront.client import ApiError, CartAdd, NewProduct, ShopApi, View


class Bridge(httpx.BaseTransport):
    """Hands requests to the application in this process."""

    def __init__(self, api: Any) -> None:
        self._api = api

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self._api.ask(
            request.method, str(request.url), content=request.read(), headers=dict(request.headers)
        )
        return httpx.Response(response.status_code, headers=dict(response.headers), content=response.content)


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waited: list[float] = []
    monkeypatch.setattr("storefront.client.time.sleep", waited.append)
    monkeypatch.setattr("storefront.client.random.uniform", lambda least, most: least)
    return waited


@pytest.fixture
def client(api: Any) -> Iterator[ShopApi]:
    with ShopApi("http://shop", token="a-token-for-these-tests", transport=Bridge(api)) as shop_api:
        yield shop_api


def test_lists_come_as_models(client: ShopApi, shop: Any) -> None:
    shop.products("a", "b", "c/d")
    shop.listed("similar", "a", "b c/d")
    (similar,) = client.product_lists("a", ["similar"], n=2, exclude=["x", "y"], price_max=99.0).lists
    assert [(item.rank, item.product_id) for item in similar.items] == [(1, "b"), (2, "c/d")]
    assert [shelf.kind for shelf in client.user_lists("u").lists] == ["for-you", "trending", "popular"]
    assert client.session_lists("s", ["popular"], n=1).lists[0].items
    (about,) = client.page_lists(["similar"], product="c/d", n=1).lists
    assert about.subject == "c/d"
    assert client.product("a").title == "Mug a"


def test_writes_arrive(client: ShopApi, fake_kafka: Any) -> None:
    accepted = client.send(
        View(type="view", user_id="u", product_id="p"), CartAdd(type="cart-add", session_id="s", product_id="p")
    )
    assert accepted.accepted == len(set(accepted.event_ids)) == 2
    assert client.publish_products(NewProduct(product_id="p", title="Mug")).accepted == 1
    assert (client.retire_product("p").accepted, client.forget_user("u").accepted) == (1, 1)
    assert [sent[0] for sent in fake_kafka.sent] == [
        "pdp-view", "cart-add", "product-created", "product-created", "user-updated",
    ]  # fmt: skip


def test_what_is_not_acknowledged_is_sent_again_under_its_id(
    client: ShopApi, fake_kafka: Any, waits: list[float]
) -> None:
    fake_kafka.answering = False

    def acknowledged(seconds: float) -> None:
        waits.append(seconds)
        fake_kafka.pending.pop().succeed()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("storefront.client.time.sleep", acknowledged)
        assert client.send(View(type="view", user_id="u", product_id="p")).accepted == 1
    assert (waits, len(fake_kafka.sent)) == ([2.0], 1)


def test_a_refusal_says_what_is_wrong(client: ShopApi) -> None:
    with pytest.raises(ApiError, match="there is no such product") as refused:
        client.product("none")
    assert refused.value.status == 404
    with pytest.raises(ApiError, match=r"query\.n: Input should be less than or equal to 50"):
        client.user_lists("u", n=51)
    with pytest.raises(ApiError, match="too many"):
        client.send(*[View(type="view", user_id="u", product_id="p")] * 501)


def test_a_server_that_is_gone_is_tried_a_few_times(waits: list[float]) -> None:
    def gone(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with ShopApi("http://shop", attempts=3, transport=httpx.MockTransport(gone)) as client:
        with pytest.raises(ApiError, match="cannot be reached"):
            client.user_lists("u")
        assert len(waits) == 2
        with pytest.raises(ApiError, match="cannot be reached"):
            next(client.stream("u"))


def test_a_stream_goes_on_where_it_was(waits: list[float]) -> None:
    asked: list[httpx.Request] = []
    change = (
        '{"kind": "for-you", "subject": "u", "revision": %d, "items": [], "event_time_ms": 1, "caused_by": "x",'
        ' "caused_at_ms": 1, "published_at_ms": 1}'
    )

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        number = len(asked)
        event = f"event: recommendation-updated\nid: {number}-7\ndata: {change % number}\n\n"
        body = f"retry: 1000\n\n: still here\n\n{event}"
        return httpx.Response(200, text=body)

    with ShopApi("http://shop", transport=httpx.MockTransport(answer)) as client:
        changes = client.stream("u", ["p1", "p2"])
        assert [next(changes).revision for _ in range(3)] == [1, 2, 3]
    assert asked[0].url.params["products"] == "p1,p2"
    assert [request.headers.get("Last-Event-ID") for request in asked] == [None, "1-7", "2-7"]
