"""Two servers over one table in Redis: the same answers, none older than one given before, also when one dies."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis_server import redis_server
from serving import Server

from producers.connection import ClientLimits, connected
from schemas.codec import encode
from schemas.events import ListedProduct, RecommendationUpdated
from schemas.kafka_settings import KafkaSettings


@pytest.fixture
def pair(kafka: KafkaSettings, tmp_path: Path) -> Iterator[list[Server]]:
    with redis_server(tmp_path) as url:
        servers = [Server(kafka, tmp_path, REDIS_URL=url) for _ in range(2)]
        try:
            for server in servers:
                server.until_ready()
            yield servers
        finally:
            for server in servers:
                server.close()


class Publisher:
    """Publishes one list after the other of the same subjects, revision by revision."""

    def __init__(self, kafka: KafkaSettings, stop: threading.Event) -> None:
        self.revision = 0
        self._kafka, self._stop = kafka, stop
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        producer = connected(self._kafka, ClientLimits())
        while not self._stop.wait(0.002):
            revision = self.revision + 1
            for subject in ("u", "v"):
                items = [ListedProduct(f"p{(revision + n) % 5}", 1.0, "trending") for n in range(5)]
                updated = RecommendationUpdated("for-you", subject, revision, items, 0, "x", 0)
                producer.send(self._kafka.named("recommendation-updated"), encode(updated), updated.key.encode())
            producer.flush()
            self.revision = revision
        producer.close()


def revision(server: Server, subject: str) -> int:
    shelf = server.client.get(f"/users/{subject}/lists?kinds=for-you").json()["lists"][0]
    return int(shelf["revision"])


def test_neither_answers_with_less_than_the_other_did_though_one_is_killed(
    pair: list[Server], kafka: KafkaSettings
) -> None:
    products = [{"product_id": f"p{n}", "category": "mugs"} for n in range(6)]
    assert pair[0].client.post("/products", json=products).status_code == 202
    pair[1].until(lambda: pair[1].client.get("/products/p5").status_code == 200)
    stop = threading.Event()
    publisher = Publisher(kafka, stop)
    try:
        _answers_never_go_back(pair, seconds=2.0)
        pair[0].process.kill()
        _answers_never_go_back(pair[1:], seconds=1.0)
        pair[0].start()
        pair[0].until_ready()
        seen = publisher.revision
        pair[1].until(lambda: revision(pair[1], "u") > seen + 20)
        pair[1].process.kill()
        pair[0].until(lambda: revision(pair[0], "u") > seen + 40)
    finally:
        stop.set()
        publisher.thread.join()
    pair[1].start()
    pair[1].until_ready()
    pair[0].until(lambda: revision(pair[0], "u") == revision(pair[0], "v") == publisher.revision)
    for path in ("/users/u/lists", "/products/p1/lists", "/shop/lists/popular", "/products/p1"):
        first, second = (server.client.get(path).json() for server in pair)
        assert first.get("lists", first) == second.get("lists", second)
    for server in pair:
        assert server.stop() == 0


def _answers_never_go_back(servers: list[Server], seconds: float) -> None:
    until, newest, asked = time.monotonic() + seconds, 0, 0
    while time.monotonic() < until:
        for server in servers:
            found = revision(server, "u")
            assert found >= newest
            newest, asked = found, asked + 1
    assert asked > 10


def test_without_redis_the_answer_is_to_come_again_and_it_recovers(kafka: KafkaSettings, tmp_path: Path) -> None:
    with redis_server(tmp_path) as url:
        server = Server(kafka, tmp_path, REDIS_URL=url)
        try:
            server.until_ready()
            assert server.client.get("/shop/lists/popular").status_code == 200
        except BaseException:
            server.close()
            raise
    try:
        refused = server.client.get("/shop/lists/popular")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
        assert refused.headers["content-type"] == "application/problem+json"
        event = {"type": "view", "user_id": "u", "product_id": "p"}
        assert server.client.post("/events", json=event).status_code == 202
    finally:
        server.close()


def test_a_cart_is_the_same_whichever_process_is_asked(pair: list[Server]) -> None:
    product = {"product_id": "p", "title": "Mug", "category": "mugs", "price": 3}
    assert pair[0].client.post("/products", json=product).status_code == 202
    for server in pair:
        server.until(lambda server=server: server.client.get("/products/p").status_code == 200)
    browser = {
        "Cookie": "guest=guest-0123456789abcdef",
        "Sec-Fetch-Site": "same-origin",
        "Accept": "application/json",
    }
    for number, server in enumerate(pair):
        form = {"product_id": "p", "token": f"{number:016x}", "quantity": "2"}
        added = server.client.post("/cart", data=form, headers=browser)
        assert added.json()["pieces"] == 2 * number + 2
    assert [server.client.get("/cart", headers=browser).text.count('value="4"') for server in pair] == [1, 1]
