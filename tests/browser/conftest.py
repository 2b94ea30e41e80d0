"""A shop on a real Kafka with all its stages, served as it is in production, and a real Chromium to look at it."""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from shop_in_browser import DESKTOP, SETTLE_SECONDS, LiveShop, until

from producers.client import ShopEvents
from schemas.kafka_settings import KafkaSettings

PRODUCTS = 56
EVENTS = 600

_CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--use-fake-device-for-media-stream"]
"""What a container needs, and a camera that films a test picture."""


@pytest.fixture(scope="session")
def chromium_path() -> str:
    pytest.importorskip("playwright.sync_api", reason="no playwright: `make setup` installs it")
    path = os.environ.get("RECSYS_CHROMIUM") or next(filter(None, map(shutil.which, _CHROMIUM)), None)
    if path is None:
        pytest.skip("no Chromium on the PATH: `apt-get install chromium`, or set RECSYS_CHROMIUM to one")
    return path


@pytest.fixture(scope="module")
def live_shop(
    chromium_path: str, kafka_cluster: KafkaSettings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveShop]:
    """Started once for the tests of a module: each uses products or shoppers of its own."""
    from cli.demo_stack import CatalogueWish, free_ports, prepare_catalogue, shop_process, stage_processes
    from consumers.stages import STAGES
    from deploy.supervisor import Supervisor
    from deploy.topics import delete_topics, ensure_topics
    from producers.simulate import Behaviour, Shoppers

    folder = tmp_path_factory.mktemp("shop")
    settings = kafka_cluster.model_copy(update={"topic_prefix": f"shop-{uuid.uuid4().hex[:12]}."})
    ensure_topics(settings)
    catalogue = prepare_catalogue(CatalogueWish(None, PRODUCTS, 0), folder).result()
    products = list(catalogue.products)
    stages = stage_processes(list(STAGES), settings, catalogue.images_dir)
    pages = shop_process(settings, catalogue.images_dir, ("shopper-1", "shopper-2"), free_ports(1)[0])
    specs = [*stages.specs, pages.spec]
    try:
        with (
            Supervisor(specs, folder / "logs") as supervisor,
            ShopEvents(settings) as events,
        ):
            supervisor.start()
            supervisor.wait_ready(SETTLE_SECONDS)
            for product in products:
                events.publish(product)
            shoppers = Shoppers(products, n_shoppers=40, seed=0, behaviour=Behaviour(events_per_second=1.0))
            for event in shoppers.events(EVENTS, time.time_ns() // 1_000_000 - 1_000 * EVENTS):
                events.publish(event)
            events.flush()
            shop = LiveShop(pages.url, products, catalogue.images_dir, events, settings)
            ids = [product.product_id for product in products]
            until(lambda: all(shop.lists(kinds="similar", product=i)[0]["items"] for i in ids), "similar lists")
            until(lambda: shop.lists(kinds="trending")[0]["items"], "what is trending")
            yield shop
    finally:
        delete_topics(settings)


@pytest.fixture(scope="module")
def chromium(chromium_path: str) -> Iterator[Any]:
    """Ends with the module, for while it runs no other test can run an event loop of its own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=_FLAGS)
        yield browser
        browser.close()


def is_complaint(said: Any) -> bool:
    """An error of a page; that a page was asked for that is not there is none."""
    return said.type == "error" and "404" not in said.text


@pytest.fixture
def visit(chromium: Any, live_shop: LiveShop) -> Iterator[Callable[..., Any]]:
    """Opens the shop as a browser that was never there; whatever a page complains of fails the test."""
    contexts: list[Any] = []
    complaints: list[str] = []

    def open_page(**options: Any) -> Any:
        context = chromium.new_context(base_url=live_shop.url, **(options or DESKTOP))
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if is_complaint(said) else None)
        return page

    open_page.complaints = complaints  # type: ignore[attr-defined]
    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
