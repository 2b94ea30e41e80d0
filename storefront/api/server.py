"""One process that serves: the tables it follows, the publisher, and uvicorn around the application."""

from __future__ import annotations

import asyncio
import dataclasses
import faulthandler
import gc
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import uvicorn
from fastapi import FastAPI

from consumers.experiments import Experiment
from consumers.image_features.fetching import ImageFetcher
from consumers.image_features.settings import ImageSettings
from consumers.runtime.health import HealthServer
from consumers.runtime.turns import take_short_turns
from schemas.events import ProductCreated
from schemas.topics import PRODUCT_CREATED, RECOMMENDATION_UPDATED
from storefront.api.app import Resource, create_app
from storefront.api.metrics import ApiMetrics
from storefront.api.publisher import EdgePublisher
from storefront.api.rendering import Renderer
from storefront.api.search import SearchQuery, find_by_photo
from storefront.api.settings import ApiSettings
from storefront.api.state import Edge
from storefront.api.stream import StreamHub
from storefront.configuration import StorefrontConfiguration
from storefront.features import FOLLOWED
from storefront.image_search import FollowedImageSearch
from storefront.lists import ListTable
from storefront.products import ProductTable
from storefront.rules.file import RulesFile
from storefront.shelves import Shelves
from storefront.shop.pictures import Pictures
from storefront.shop.rendering import Shop
from storefront.shop.visits import Visits
from storefront.table_follower import TableFollower
from storefront.tables import Changes, Currency, MemoryTables, Tables

if TYPE_CHECKING:
    from storefront.shop.redis_visits import RedisVisits

_SWITCH_SECONDS = 0.0005
"""How long another thread may keep the interpreter while a request waits; a tenth of Python's own default."""
_YOUNG_OBJECTS = 50_000
_PHOTO_MATCHES = 24
_KEEP_ALIVE_SECONDS = 75
"""Longer than proxies keep an idle connection: one that is closed just as it is used fails a request."""
_STOP_SECONDS = 3
"""How long requests may still take that are under way."""
_CUT_SHORT_SECONDS = 20.0
"""What is left then is what Kafka or Redis do not answer."""

_log = logging.getLogger(__name__)


def serve(configuration: StorefrontConfiguration) -> None:
    """Serve until SIGTERM or SIGINT; call it on the main thread."""
    take_short_turns()
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.set_threshold(_YOUNG_OBJECTS, 20, 100)
    settings = configuration.api
    app = make_app(configuration)
    server = _Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            access_log=False,
            log_level="warning",
            server_header=False,
            proxy_headers=True,
            forwarded_allow_ips=settings.trusted_proxies,
            timeout_graceful_shutdown=_STOP_SECONDS,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            limit_concurrency=settings.max_connections,
            ws="none",
        ),
        app.state.edge,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # uvicorn stops on them, and raises them once more in the end
    served = HealthServer(
        configuration.runtime.metrics_host,
        configuration.runtime.metrics_port,
        app.state.metrics.registry,
        lambda: asyncio.run(app.state.edge.tables.freshness()).ready,
    )
    _log.info("metrics on http://%s:%d/metrics", configuration.runtime.metrics_host, served.port)
    try:
        server.run()
    finally:
        served.close()


class _Server(uvicorn.Server):
    """Ends the open streams as soon as it is asked to stop: they would not end by themselves."""

    def __init__(self, config: uvicorn.Config, edge: Edge) -> None:
        super().__init__(config)
        self._edge = edge

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in (listener for server in self.servers for listener in server.sockets):
            host, port = listener.getsockname()[:2]
            _log.info("serving on http://%s:%d", host, port)

    def handle_exit(self, sig: int, frame: Any) -> None:
        super().handle_exit(sig, frame)
        self._edge.hub.end_all()
        threading.Thread(target=_cut_short, name="stop-limit", daemon=True).start()


def _cut_short() -> None:
    threading.Event().wait(_CUT_SHORT_SECONDS)
    _log.warning("not stopped after %.0f s; leaving as it is", _CUT_SHORT_SECONDS)
    faulthandler.dump_traceback()
    os._exit(1)


def make_app(configuration: StorefrontConfiguration) -> FastAPI:
    """The application as it is configured, with everything that it needs; nothing is started yet."""
    settings = configuration.api
    hub = StreamHub(settings.stream)
    publisher = EdgePublisher(configuration.kafka, settings.writes)
    photos = FollowedImageSearch(configuration.images, settings.max_image_bytes)
    make_tables = _memory_tables if settings.redis_url is None else _redis_tables
    tables, following = make_tables(configuration, hub, photos)
    edge = make_edge(settings, tables, publisher, hub, configuration.images, configuration.experiments)
    edge = dataclasses.replace(edge, image_search=photos)
    resources = [*following, _Publishing(publisher)]
    visits = None
    if settings.redis_url is not None and configuration.shop.enabled:
        visits = _redis_visits(configuration, settings.redis_url.get_secret_value())
        resources.append(visits)
    return create_app(edge, resources, make_shop(configuration, edge, visits), _metrics_of(edge))


def _metrics_of(edge: Edge) -> ApiMetrics:
    metrics = ApiMetrics()
    metrics.watch("recsys_api_streams", "Open streams.", lambda: edge.hub.clients)
    metrics.watch(
        "recsys_api_events_waiting", "Events that Kafka has not acknowledged.", lambda: edge.publisher.waiting
    )
    return metrics


def make_shop(configuration: StorefrontConfiguration, edge: Edge, visits: Visits | None = None) -> Shop | None:
    """The pages over an edge, with the pictures that the image stage reads; None where they are switched off.

    Without ``visits`` carts are in this process's memory.
    """
    settings, images_dir = configuration.shop, configuration.images.fetch.images_dir
    if not settings.enabled:
        return None
    pictures = None if images_dir is None else Pictures(images_dir, settings.max_picture_bytes)

    async def find(photo: bytes) -> list[ProductCreated]:
        async with edge.photo_turns:
            return [product for product, _ in await find_by_photo(edge, photo, SearchQuery(n=_PHOTO_MATCHES))]

    searching = find if edge.image_search else None
    return Shop(settings, edge.shelves, edge.publisher.publish, pictures, searching, visits)


def make_edge(
    settings: ApiSettings,
    tables: Tables,
    publisher: EdgePublisher,
    hub: StreamHub,
    images: ImageSettings,
    experiments: Sequence[Experiment] = (),
) -> Edge:
    """An edge over these tables, without search by photo."""
    # Whoever asks is a stranger: of where the catalogue's pictures come from, only public addresses are left.
    fetch = images.fetch.model_copy(update={"images_dir": None, "allow_private_addresses": False})
    limits = images.limits.model_copy(update={"max_bytes": min(images.limits.max_bytes, settings.max_image_bytes)})
    return Edge(
        settings=settings,
        tables=tables,
        shelves=Shelves(tables, RulesFile(settings.rules_file).current, experiments=experiments),
        renderer=Renderer(settings.image_base_url),
        publisher=publisher,
        hub=hub,
        image_search=None,
        fetch_image=ImageFetcher(fetch, limits, settings.image_searches_at_once).fetch,
        photo_turns=asyncio.Semaphore(settings.image_searches_at_once),
    )


def _memory_tables(
    configuration: StorefrontConfiguration, hub: StreamHub, photos: FollowedImageSearch
) -> tuple[Tables, Sequence[Resource]]:
    settings = configuration.api
    currency = Currency(settings.stale_after_seconds)
    tables = MemoryTables(ListTable(max_lists=settings.max_lists), ProductTable(), currency)
    topics = (*FOLLOWED, RECOMMENDATION_UPDATED)
    follower = TableFollower(configuration.kafka, topics, [tables, photos], currency)
    return tables, [_Following(follower, tables, hub)]


def _redis_tables(
    configuration: StorefrontConfiguration, hub: StreamHub, photos: FollowedImageSearch
) -> tuple[Tables, Sequence[Resource]]:
    """The table that is shared, which one process writes; the features of pictures are each process's own."""
    from storefront.leading import LeadingFollower
    from storefront.redis_tables import RedisTables
    from storefront.redis_writer import RedisWriter

    kafka, settings = configuration.kafka, configuration.api
    assert settings.redis_url is not None
    url = settings.redis_url.get_secret_value()
    tables = RedisTables(url, kafka.topic_prefix, hub, settings.stale_after_seconds)
    writer = RedisWriter(url, kafka.topic_prefix)
    leading = LeadingFollower(kafka, (PRODUCT_CREATED, RECOMMENDATION_UPDATED), writer)
    pictures = TableFollower(kafka, FOLLOWED, [photos], Currency(settings.stale_after_seconds))
    return tables, [_Thread(leading), _Thread(pictures), tables]


def _redis_visits(configuration: StorefrontConfiguration, url: str) -> RedisVisits:
    from storefront.shop.redis_visits import RedisVisits

    return RedisVisits(url, configuration.kafka.topic_prefix, configuration.shop.max_remembered_shoppers)


class _Thread:
    """A follower that works while the application does."""

    def __init__(self, follower: TableFollower) -> None:
        self._follower = follower

    async def start(self) -> None:
        self._follower.start()

    async def close(self) -> None:
        await asyncio.to_thread(self._follower.close)


class _Following:
    """Follows Kafka, and tells the streams of what changes."""

    def __init__(self, follower: TableFollower, tables: MemoryTables, hub: StreamHub) -> None:
        self._follower, self._tables, self._hub = follower, tables, hub

    async def start(self) -> None:
        """Begin to follow."""
        loop = asyncio.get_running_loop()

        def tell(changes: Changes) -> None:
            followed = [change for change in changes if self._hub.follows(change[0])]
            if followed and not loop.is_closed():
                loop.call_soon_threadsafe(self._hub.publish, followed)

        self._tables.on_changes = tell
        self._follower.start()

    async def close(self) -> None:
        """Stop following."""
        await asyncio.to_thread(self._follower.close)


class _Publishing:
    def __init__(self, publisher: EdgePublisher) -> None:
        self._publisher = publisher

    async def start(self) -> None:
        self._publisher.start()

    async def close(self) -> None:
        await asyncio.to_thread(self._publisher.close)
