"""``recs.js`` on a page of another origin, in a real Chromium: it fills its shelves and reports what is seen."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from shop_in_browser import until

from cli.demo_stack import free_ports
from producers.client import ShopEvents
from schemas.codec import decode, encode
from schemas.events import ListedProduct, RecommendationUpdated
from schemas.kafka_settings import KafkaSettings
from schemas.topics import CLICK, IMPRESSION, PDP_VIEW, Topic
from storefront.following import TopicFollower

PAGE = """<!doctype html><meta charset="utf-8"><title>A shop of its own</title>
<script src="{api}/recs.js" data-user="u7" data-href="?product={{id}}" data-currency="€" data-live defer></script>
<div data-recs="similar" data-product="P/1" data-n="3" data-placement="product-page"></div>"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@contextmanager
def pages(folder: Path, port: int) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", port), functools.partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def serving(kafka: KafkaSettings, port: int, origin: str, folder: Path) -> Iterator[str]:
    environment = {
        **os.environ,
        "KAFKA_BOOTSTRAP_SERVERS": ",".join(kafka.client_options()["bootstrap_servers"]),
        "KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
        "RECSYS_API__ALLOWED_ORIGINS": f'["{origin}"]',
    }
    command = [sys.executable, "-m", "cli.main", "serve", "--port", str(port)]
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    api = f"http://127.0.0.1:{port}"

    def ready() -> bool:
        try:
            return httpx.get(f"{api}/ready").status_code == 200
        except httpx.HTTPError:
            return False

    try:
        until(ready, "the server")
        yield api
    finally:
        process.kill()
        process.wait()


def publish_list(shop: ShopEvents, kafka: KafkaSettings, products: str, revision: int) -> None:
    items = [ListedProduct(product_id, 0.9, "looks-like") for product_id in products.split()]
    updated = RecommendationUpdated("similar", "P/1", revision, items, 0, "x", time.time_ns() // 1_000_000)
    name = kafka.named("recommendation-updated")
    shop._producer.send(name, key=updated.key.encode(), value=encode(updated)).get(timeout=10)


def arrived(kafka: KafkaSettings, topic: Topic) -> list[Any]:
    with TopicFollower(kafka, [topic]) as follower:
        return [decode(topic.name, r.value) for records in follower.to_end() for r in records if r.value]


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    context = chromium.new_context()
    yield context.new_page()
    context.close()


def test_shelves_fill_renew_and_are_reported(page: Any, kafka: KafkaSettings, tmp_path: Path) -> None:
    page_port, api_port = free_ports(2)
    with (
        pages(tmp_path, page_port) as origin,
        serving(kafka, api_port, origin, tmp_path) as api,
        ShopEvents(kafka) as shop,
    ):
        (tmp_path / "index.html").write_text(PAGE.format(api=api), encoding="utf-8")
        for number in range(1, 6):
            shop.product_created(f"P/{number}", title=f"Mug <{number}>", category="mugs", price=9.5)
        publish_list(shop, kafka, "P/2 P/3 P/4", 1)
        until(
            lambda: httpx.get(f"{api}/lists?kinds=similar&product=P/1").json()["lists"][0]["revision"], "the list"
        )
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{origin}/index.html")
        page.wait_for_selector("[data-recs] li")
        titles = page.locator("[data-recs] b").all_text_contents()
        assert titles == ["Mug <2>", "Mug <3>", "Mug <4>"]
        assert "€9.50" in page.locator("[data-recs] li").first.inner_text()
        assert "looks like Mug <1>" in page.locator("[data-recs] li").first.inner_text()
        page.evaluate("recs.view('P/1')")

        publish_list(shop, kafka, "P/5 P/2", 2)
        page.wait_for_function("document.querySelector('[data-recs] b').textContent == 'Mug <5>'", timeout=20_000)

        page.locator("[data-recs] a").first.click()
        page.wait_for_url("**?product=P%2F5")
        until(lambda: arrived(kafka, CLICK), "the click")
        until(lambda: len(arrived(kafka, IMPRESSION)) >= 5, "the impressions")
        click, view = arrived(kafka, CLICK)[0], arrived(kafka, PDP_VIEW)[0]
        assert (click.product_id, click.rank, click.kind, click.placement) == ("P/5", 1, "similar", "product-page")
        assert (click.user_id, view.user_id, view.product_id) == ("u7", "u7", "P/1")
        assert click.recommendation_id in {shown.recommendation_id for shown in arrived(kafka, IMPRESSION)}
        assert complaints == []
