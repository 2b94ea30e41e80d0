"""The HTTP edge as a process on a real Kafka: what goes in arrives, what is published is answered and streamed."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import random
import re
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from serving import Server

from producers.client import ShopEvents
from schemas.codec import decode, encode
from schemas.events import ListedProduct, RecommendationUpdated
from schemas.kafka_settings import KafkaSettings
from schemas.topics import CLICK, IMPRESSION, INTERACTION_STATE, PDP_VIEW, Topic
from storefront.following import TopicFollower

Start = Callable[..., Server]


@pytest.fixture
def serve(kafka: KafkaSettings, tmp_path: Path) -> Iterator[Start]:
    servers: list[Server] = []

    def start(**options: str) -> Server:
        servers.append(Server(kafka, tmp_path, **options))
        return servers[-1].until_ready()

    yield start
    for server in servers:
        server.close()


def listed(server: Server, path: str) -> list[str]:
    return [item["product_id"] for item in server.client.get(path).json()["lists"][0]["items"]]


def everything_on(kafka: KafkaSettings, topic: Topic) -> list[Any]:
    with TopicFollower(kafka, [topic]) as follower:
        return [decode(topic.name, r.value) for records in follower.to_end() for r in records if r.value]


def test_the_example_of_the_documentation_runs(
    serve: Start, lists: Lists, capsys: pytest.CaptureFixture[str]
) -> None:
    server = serve()
    server.client.post("/products", json=[{"product_id": "P123"}, {"product_id": "P7", "title": "Mug"}])
    lists.publish("similar", "P123", "P7", 1)
    server.until(lambda: listed(server, "/products/P123/lists/similar") == ["P7"])
    text = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(example.replace("127.0.0.1:8080", f"127.0.0.1:{server.port}"), {})
    assert capsys.readouterr().out == "1 P7 looks like P123\n"


class Lists:
    """Publishes lists as the stages do."""

    def __init__(self, kafka: KafkaSettings) -> None:
        from producers.connection import ClientLimits, connected

        self._kafka = kafka
        self._producer = connected(kafka, ClientLimits())

    def publish(self, kind: str, subject: str, products: str, revision: int) -> None:
        items = [ListedProduct(product_id, 1.0, "looks-like") for product_id in products.split()]
        updated = RecommendationUpdated(kind, subject, revision, items, 0, "pdp-view/e", 5)
        name = self._kafka.named("recommendation-updated")
        self._producer.send(name, key=updated.key.encode(), value=encode(updated)).get(timeout=10)

    def close(self) -> None:
        self._producer.close()


@pytest.fixture
def lists(kafka: KafkaSettings) -> Iterator[Lists]:
    publisher = Lists(kafka)
    yield publisher
    publisher.close()


def test_products_come_and_go_and_events_arrive(serve: Start, kafka: KafkaSettings, lists: Lists) -> None:
    server = serve()
    products = [{"product_id": f"p{n}", "title": f"Mug {n}", "category": "mugs", "price": n} for n in range(5)]
    assert server.client.post("/products", json=products).status_code == 202
    lists.publish("similar", "p0", "p1 p2 p3", 1)
    server.until(lambda: listed(server, "/products/p0/lists/similar?n=3") == ["p1", "p2", "p3"])

    assert server.client.delete("/products/p1").status_code == 202
    server.until(lambda: server.client.get("/products/p1").status_code == 404)

    events = [{"type": "view", "user_id": "u", "product_id": "p0", "event_id": f"e{n}"} for n in range(20)]
    events += [{"type": "impression", "user_id": "u", "product_id": "p0", "recommendation_id": "similar.1.aa"}]
    events += [{"type": "click", "session_id": "s", "product_id": "p0", "rank": 2}]
    assert server.client.post("/events", json=events).json()["accepted"] == 22
    assert [event.event_id for event in everything_on(kafka, PDP_VIEW)] == [f"e{n}" for n in range(20)]
    assert everything_on(kafka, IMPRESSION)[0].recommendation_id == "similar.1.aa"
    assert everything_on(kafka, CLICK)[0].rank == 2
    assert server.stop() == 0


def test_what_is_retired_or_sold_out_leaves_every_answer_within_a_second(
    serve: Start, lists: Lists, record_property: Callable[[str, object], None]
) -> None:
    server = serve()
    ids = [f"p{number}" for number in range(12)]
    server.client.post("/products", json=[{"product_id": i, "title": f"<{i}>", "category": "mugs"} for i in ids])
    for kind, subject in (("similar", "p0"), ("for-you", "u"), ("trending", ""), ("popular", "mugs")):
        lists.publish(kind, subject, " ".join(ids[1:]), 1)
    asked = "/lists?kinds=similar,for-you,trending,popular&product=p0&user=u&n=12"

    def shown() -> str:
        """Everything that stands on a page: the answer of the API, and the shop's own."""
        return server.client.get(asked).text + server.client.get("/product?id=p0").text.replace("&gt;", ">")

    server.until(lambda: all(f"{i}>" in shown() for i in ids[1:]))
    took = []
    for number, product_id in enumerate(ids[1:10]):
        if number % 2:
            sold_out = {"product_id": product_id, "category": "mugs", "in_stock": False}
            assert server.client.post("/products", json=sold_out).status_code == 202
        else:
            assert server.client.delete(f"/products/{product_id}").status_code == 202
        began = time.monotonic()
        server.until(lambda gone=product_id: f"{gone}>" not in shown() and f'"{gone}"' not in shown())
        took.append(time.monotonic() - began)
    answer = server.client.get(asked).json()
    assert {item["product_id"] for of in answer["lists"] for item in of["items"]} == {"p0", "p10", "p11"}
    record_property("seconds", took)
    # Half of them, so that a moment in which the machine did something else decides nothing.
    assert statistics.median(took) <= 1.0, took


def stream(server: Server, query: str, headers: dict[str, str], seen: queue.Queue[tuple[str, Any]]) -> None:
    event_id = ""
    with (
        contextlib.suppress(httpx.HTTPError),  # the server is killed in the end
        httpx.stream(
            "GET", f"http://127.0.0.1:{server.port}/stream?{query}", headers=headers, timeout=None
        ) as response,
    ):
        for line in response.iter_lines():
            if line.startswith("id: "):
                event_id = line.removeprefix("id: ")
            elif line.startswith("data: "):
                seen.put((event_id, json.loads(line.removeprefix("data: "))))
            elif line.startswith("retry: "):
                seen.put(("open", None))


def follow(server: Server, query: str, headers: dict[str, str] | None = None) -> queue.Queue[tuple[str, Any]]:
    seen: queue.Queue[tuple[str, Any]] = queue.Queue()
    threading.Thread(target=stream, args=(server, query, headers or {}, seen), daemon=True).start()
    assert seen.get(timeout=10)[0] == "open"
    return seen


def test_a_change_is_streamed_and_one_that_was_missed_comes_after(
    serve: Start, kafka: KafkaSettings, lists: Lists
) -> None:
    server = serve()
    with ShopEvents(kafka) as shop:
        shop.product_created("a")
        shop.product_created("b")
    server.until(lambda: server.client.get("/products/b").status_code == 200)
    seen = follow(server, "subject=u&products=p1,p2")
    lists.publish("for-you", "u", "a b", 1)
    event_id, change = seen.get(timeout=10)
    assert (change["kind"], [item["product_id"] for item in change["items"]]) == ("for-you", ["a", "b"])
    lists.publish("similar", "p2", "a", 1)
    lists.publish("for-you", "somebody-else", "a", 1)
    assert seen.get(timeout=10)[1]["subject"] == "p2"
    assert server.stop() == 0  # with the stream open

    lists.publish("for-you", "u", "b a", 2)
    server.start()
    server.until_ready()
    resumed = follow(server, "subject=u", {"Last-Event-ID": event_id})
    assert resumed.get(timeout=10)[1]["revision"] == 2


def test_no_request_gets_an_answer_that_the_document_does_not_name(serve: Start, tmp_path: Path) -> None:
    server = serve()
    server.client.post("/products", json=[{"product_id": f"p{n}", "category": "mugs"} for n in range(5)])
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"http://127.0.0.1:{server.port}/openapi.json"]
    command += ["--header", f"Authorization: {server.client.headers['Authorization']}", "--checks", checks]
    command += ["--exclude-path", "/stream", "--phases", "examples,coverage,fuzzing", "--max-examples", "10"]
    command += ["--seed", "1", "--request-timeout", "20", "--no-color"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-5_000:] + done.stderr[-1_000:]
    assert server.process.poll() is None, server.log()


def test_events_sent_again_at_random_to_two_servers_count_once(
    serve: Start, kafka: KafkaSettings, tmp_path: Path
) -> None:
    rng = random.Random(5)
    servers = [serve(), serve()]
    events = [
        {"type": "view", "user_id": f"u{n % 7}", "product_id": f"p{n % 11}", "event_id": f"e{n}"}
        for n in range(150)
    ]
    sent = [event for event in events for _ in range(rng.randint(1, 3))]
    rng.shuffle(sent)
    while sent:
        batch, sent = sent[:10], sent[10:]
        assert rng.choice(servers).client.post("/events", json=batch).status_code == 202
    arrived = Counter(event.event_id for event in everything_on(kafka, PDP_VIEW))
    assert arrived.keys() == {event["event_id"] for event in events}
    assert max(arrived.values()) == 2  # a server knows what it has sent itself; the stage knows all
    assert _counted(kafka, tmp_path, len(events)) == Counter(event["user_id"] for event in events)


def _counted(kafka: KafkaSettings, folder: Path, events: int) -> Counter[str]:
    """What the interactions stage makes of the topic: events by shopper."""
    environment = {
        **os.environ,
        "KAFKA_BOOTSTRAP_SERVERS": ",".join(kafka.client_options()["bootstrap_servers"]),
        "KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
    }
    command = [sys.executable, "-m", "cli.main", "run", "interactions"]
    with (folder / "interactions.log").open("wb") as log:
        stage = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        counted: Counter[str] = Counter()
        while counted.total() < events:
            assert time.monotonic() < deadline, f"{counted} after a minute"
            time.sleep(0.5)
            for history in everything_on(kafka, INTERACTION_STATE):
                counted[history.subject] = len(history.event_hashes)
        return counted
    finally:
        stage.kill()
        stage.wait()
