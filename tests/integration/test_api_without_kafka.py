"""Kafka killed and started again beneath a server under load: reads go on, and nothing acknowledged is lost."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import psutil
import pytest
from serving import AUTHORISED, Server

from deploy.embedded_kafka import EmbeddedKafka, EmbeddedKafkaSettings
from deploy.topics import ensure_topics
from schemas.codec import decode
from schemas.topics import PDP_VIEW
from storefront.following import TopicFollower

SENDERS = 4


class Sender:
    """A page that sends one event after the other, and again with the same id until it is acknowledged."""

    def __init__(self, server: Server, name: int, stop: threading.Event) -> None:
        self.acknowledged: list[str] = []
        self.refused: Counter[int] = Counter()
        self._server, self._name, self._stop = server, name, stop
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        number = 0
        with httpx.Client(base_url=self._server.client.base_url, timeout=60, headers=AUTHORISED) as client:
            while not self._stop.is_set():
                event_id = f"{self._name}-{number}"
                event = {"type": "view", "user_id": f"u{self._name}", "product_id": "p", "event_id": event_id}
                response = client.post("/events", json=event)
                if response.status_code == 202:
                    self.acknowledged.append(event_id)
                    number += 1
                else:
                    assert response.headers["retry-after"]
                    self.refused[response.status_code] += 1
                time.sleep(0.005)


@pytest.fixture
def broker(embedded_kafka: EmbeddedKafka, tmp_path: Path) -> EmbeddedKafka:
    """On a port that it has again when it is started again."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return EmbeddedKafka(EmbeddedKafkaSettings(port=port, data_dir=tmp_path / "killed"))


def test_every_acknowledged_event_arrives_once_though_kafka_is_killed(
    broker: EmbeddedKafka, tmp_path: Path
) -> None:
    settings = broker.up()
    ensure_topics(settings)
    server = Server(settings, tmp_path, WRITES__ACKNOWLEDGE_TIMEOUT_SECONDS="2", STALE_AFTER_SECONDS="2")
    stop = threading.Event()
    senders: list[Sender] = []
    try:
        server.until_ready()
        server.client.post("/products", json={"product_id": "p"})
        server.until(lambda: server.client.get("/products/p").status_code == 200)
        senders = [Sender(server, number, stop) for number in range(SENDERS)]
        server.until(lambda: all(len(sender.acknowledged) > 50 for sender in senders))
        pid = broker.status().pid
        assert pid is not None
        psutil.Process(pid).send_signal(signal.SIGKILL)

        server.until(lambda: server.client.get("/shop/lists/popular").json()["stale"])
        assert [i["product_id"] for i in server.client.get("/shop/lists/popular").json()["lists"][0]["items"]] == [
            "p"
        ]
        server.until(lambda: all(sender.refused for sender in senders))

        broker.up()
        before = [len(sender.acknowledged) for sender in senders]
        server.until(
            lambda: all(len(s.acknowledged) > b + 20 for s, b in zip(senders, before, strict=True)), seconds=60
        )
        server.until(lambda: not server.client.get("/shop/lists/popular").json()["stale"])
        stop.set()
        for sender in senders:
            sender.thread.join()
        with TopicFollower(settings, [PDP_VIEW]) as follower:
            records = [record for found in follower.to_end() for record in found]
        arrived = Counter(decode(PDP_VIEW.name, r.value).event_id for r in records if r.value)  # type: ignore[union-attr]
        acknowledged = {event_id for sender in senders for event_id in sender.acknowledged}
        assert acknowledged <= arrived.keys()
        assert {event_id for event_id in acknowledged if arrived[event_id] != 1} == set()
        assert {status for sender in senders for status in sender.refused} == {503}
    finally:
        stop.set()
        for sender in senders:
            sender.thread.join()
        server.close()
        broker.down()
