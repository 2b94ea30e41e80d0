"""A shop in memory behind the real application, with a Kafka that the test answers for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from kafka.errors import KafkaTimeoutError

from consumers.experiments import Experiment
from consumers.image_features.settings import ImageSettings
from consumers.runtime.records import Record
from schemas.codec import encode, topic_of
from schemas.errors import KafkaUnavailableError
from schemas.events import Event, ListedProduct, ProductCreated, RecommendationUpdated
from schemas.kafka_settings import KafkaSettings
from schemas.keys import key_of
from storefront.api.app import create_app
from storefront.api.publisher import EdgePublisher
from storefront.api.server import make_edge, make_shop
from storefront.api.settings import ApiSettings, RateLimits, WriteLimits
from storefront.api.state import Edge
from storefront.api.stream import StreamHub
from storefront.configuration import StorefrontConfiguration
from storefront.lists import ListTable
from storefront.products import ProductTable
from storefront.tables import Currency, MemoryTables

TOKEN = "a-token-for-these-tests"


class FakeFuture:
    """What a producer gives for a record; settled by the test."""

    def __init__(self) -> None:
        self._callbacks: list[Callable[[Any], None]] = []
        self._errbacks: list[Callable[[BaseException], None]] = []

    def add_callback(self, callback: Callable[[Any], None]) -> None:
        self._callbacks.append(callback)

    def add_errback(self, errback: Callable[[BaseException], None]) -> None:
        self._errbacks.append(errback)

    def succeed(self) -> None:
        for callback in self._callbacks:
            callback(None)

    def fail(self, error: BaseException) -> None:
        for errback in self._errbacks:
            errback(error)


@dataclass
class FakeKafka:
    """Takes what a producer sends; ``answering`` acknowledges at once, else the test does."""

    answering: bool = True
    there: bool = True
    reachable: bool = True
    missing: set[str] = field(default_factory=set)
    sent: list[tuple[str, bytes, bytes | None]] = field(default_factory=list)
    pending: list[FakeFuture] = field(default_factory=list)
    connections: int = 0

    def connect(self, settings: KafkaSettings, limits: Any) -> FakeKafka:
        if not self.there:
            raise KafkaUnavailableError("no Kafka answers")
        self.connections += 1
        return self

    def send(self, topic: str, *, key: bytes, value: bytes | None) -> FakeFuture:
        if not self.reachable or topic in self.missing:
            raise KafkaTimeoutError("no metadata")
        self.sent.append((topic, key, value))
        future = _Acknowledged() if self.answering else FakeFuture()
        if not self.answering:
            self.pending.append(future)
        return future

    def flush(self, timeout: float) -> None:
        pass

    def close(self, timeout: float) -> None:
        pass


class _Acknowledged(FakeFuture):
    def add_callback(self, callback: Callable[[Any], None]) -> None:
        callback(None)


class Shop:
    """The tables of a shop, filled by publishing to them."""

    def __init__(self) -> None:
        self.currency = Currency(stale_after_seconds=5.0)
        self.tables = MemoryTables(ListTable(), ProductTable(), self.currency)
        self._offset = 0

    def publish(self, *events: Event, at_ms: int = 1_000) -> None:
        for event in events:
            self.put(topic_of(event).name, key_of(event), encode(event), at_ms)

    def put(self, topic: str, key: str, value: bytes | None, at_ms: int = 1_000) -> None:
        self._offset += 1
        self.tables.take([Record(topic, 0, self._offset, at_ms, key.encode(), value, ())])

    def products(self, *product_ids: str, category: str = "mugs", price: float | None = 10.0) -> None:
        for product_id in product_ids:
            title = f"Mug {product_id}"
            self.publish(ProductCreated(product_id, 1, title, category, f"mugs/{product_id}.jpg", price))

    def listed(self, kind: str, subject: str, products: str, reason: str = "looks-like", **options: int) -> None:
        items = [ListedProduct(p, 1.0 - rank / 100, reason) for rank, p in enumerate(products.split())]
        revision, at_ms = options.get("revision", 1), options.get("at_ms", 1_000)
        self.publish(RecommendationUpdated(kind, subject, revision, items, 0, "pdp-view/e1", 900), at_ms=at_ms)

    def sold_out(self, product_id: str, category: str = "mugs") -> None:
        self.publish(ProductCreated(product_id, 2, category=category, in_stock=False))

    def retired(self, product_id: str) -> None:
        self.put("product-created", product_id, None)


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def fake_kafka() -> FakeKafka:
    return FakeKafka()


class _Resource:
    def __init__(self, publisher: EdgePublisher) -> None:
        self._publisher = publisher

    async def start(self) -> None:
        self._publisher.start()

    async def close(self) -> None:
        await asyncio.to_thread(self._publisher.close)


def application(
    shop: Shop, fake_kafka: FakeKafka, settings: ApiSettings, experiments: tuple[Experiment, ...] = ()
) -> FastAPI:
    publisher = EdgePublisher(KafkaSettings(), settings.writes, connect=fake_kafka.connect)
    hub = StreamHub(settings.stream)
    edge = make_edge(settings, shop.tables, publisher, hub, ImageSettings(), experiments)
    return create_app(edge, [_Resource(publisher)], make_shop(StorefrontConfiguration(api=settings), edge))


@pytest.fixture
def api_settings() -> ApiSettings:
    return ApiSettings(
        token=TOKEN,  # type: ignore[arg-type]
        rates=RateLimits(reads_per_second=0, writes_per_second=0, image_searches_per_second=0),
        writes=WriteLimits(acknowledge_timeout_seconds=0.2, max_waiting=10),
    )


class Api:
    """Asks the application without a socket, on a loop of the test's own."""

    def __init__(self, app: FastAPI) -> None:
        self._runner = asyncio.Runner()
        self._lifespan = app.router.lifespan_context(app)
        self.app = app
        self._state = app.state
        self.openapi = app.openapi
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://shop")

    @property
    def edge(self) -> Edge:
        found: Edge = self._state.edge
        return found

    def set_edge(self, edge: Edge) -> None:
        self._state.edge = edge

    def __enter__(self) -> Api:
        self.run(self._lifespan.__aenter__())
        return self

    def __exit__(self, *error: object) -> None:
        self.run(self._lifespan.__aexit__(None, None, None))
        self._runner.close()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(coroutine)

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        response: httpx.Response = self.run(self.client.request(method, path, **options))
        return response

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.ask("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.ask("POST", path, **options)


@pytest.fixture
def experiments() -> tuple[Experiment, ...]:
    return ()


@pytest.fixture
def api(
    shop: Shop, fake_kafka: FakeKafka, api_settings: ApiSettings, experiments: tuple[Experiment, ...]
) -> Iterator[Api]:
    with Api(application(shop, fake_kafka, api_settings, experiments)) as client:
        yield client
