"""What a product page waits for: three shelves over HTTP, beside shoppers whose events go through the same server.

Kafka, every stage, the server and the load share this machine. Times are from when a request was due. Those of a
server that does nothing, taken in turns with them, say what the machine has to spare.
"""

from __future__ import annotations

import asyncio
import functools
import json
import random
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.http_load import HttpLoad, LoadResult, get_request, over_and_over, post_request
from benchmarks.pictures import render
from benchmarks.stage_processes import free_port, stage_processes
from consumers.runtime.turns import take_short_turns
from deploy.supervisor import ProcessSpec, Supervisor
from producers.clickstream import ShopperEvent
from producers.client import ShopEvents
from producers.simulate import Behaviour, Shoppers
from schemas.errors import RecsysError
from schemas.events import CartAdd, PdpView, ProductCreated
from schemas.kafka_settings import KafkaSettings

_HOST = "127.0.0.1"
_READY_SECONDS = 90.0
_SETTLE_SECONDS = 240.0
_EVENT_CONNECTIONS = 8
_WARM_SECONDS = 2.0
"""What is done only once is done then."""
_TURNS = 4

OnProgress = Callable[[str, int, int], None]


class UnsettledError(RecsysError):
    """The server does not have the lists that it should by now."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the servers listen."""

    server: int
    empty: int

    @property
    def empty_url(self) -> str:
        """Of the one that does nothing."""
        return f"http://{_HOST}:{self.empty}/"


@dataclass(frozen=True, slots=True)
class ApiBench:
    """How much is asked for."""

    products: int = 200
    categories: int = 8
    shoppers: int = 200
    earlier_events: int = 2_000
    events_per_second: float = 20.0
    requests_per_second: float = 500.0
    seconds: float = 20.0
    saturation_seconds: float = 8.0
    connections: int = 32
    n: int = 12


def bench_api(
    kafka: KafkaSettings,
    folder: Path,
    bench: ApiBench | None = None,
    on_progress: OnProgress = lambda what, done, total: None,
) -> dict[str, Any]:
    """Times in milliseconds and rates a second; ``folder`` takes pictures and logs."""
    bench = bench or ApiBench()
    ports = Ports(free_port(), free_port())
    images = folder / "images"
    empty = ProcessSpec(
        "empty", [sys.executable, "-m", "benchmarks.empty_server", str(ports.empty)], {}, ports.empty_url
    )
    specs = [*stage_processes(kafka, images), _server(kafka, ports.server), empty]
    with Supervisor(specs, folder / "logs") as supervisor:
        supervisor.start()
        supervisor.wait_ready(_READY_SECONDS)
        products = _fill(kafka, images, bench)
        _settle(ports.server, products, on_progress)
        supervisor.check()
        used = functools.partial(_cpu_seconds, supervisor.pid("serve"))
        result = asyncio.run(_measure(ports, products, bench, used, on_progress))
        supervisor.check()
    return result


def _server(kafka: KafkaSettings, port: int) -> ProcessSpec:
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": ",".join(kafka.client_options()["bootstrap_servers"]),
        "KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
        "RECSYS_API__RATES__READS_PER_SECOND": "0",
        "RECSYS_API__RATES__WRITES_PER_SECOND": "0",
    }
    command = [sys.executable, "-m", "cli.main", "serve", "--host", _HOST, "--port", str(port)]
    return ProcessSpec("serve", command, environment, f"http://{_HOST}:{port}/ready")


def _fill(kafka: KafkaSettings, images: Path, bench: ApiBench) -> list[ProductCreated]:
    """The catalogue, and what was seen and bought before."""
    at_ms = time.time_ns() // 1_000_000
    products = [
        ProductCreated(
            f"p{number}",
            at_ms,
            title=f"Product {number}",
            category=f"category-{number % bench.categories}",
            image_url=render(images, number),
            price=float(number),
        )
        for number in range(bench.products)
    ]
    with ShopEvents(kafka) as client:
        for product in products:
            client.publish(product)
        for event in Shoppers(products, bench.shoppers, 3).events(bench.earlier_events, at_ms - 3_600_000):
            client.publish(event)
    return products


def _settle(port: int, products: Sequence[ProductCreated], on_progress: OnProgress) -> None:
    """Wait until every product has similar ones."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    for done, product in enumerate(products, start=1):
        url = f"http://{_HOST}:{port}/products/{product.product_id}/lists/similar"
        while True:
            with urllib.request.urlopen(url, timeout=10) as answer:
                if json.load(answer)["lists"][0]["revision"]:
                    break
            if time.monotonic() > deadline:
                raise UnsettledError(f"{product.product_id} has no similar products; see the logs of the stages")
            time.sleep(0.05)
        on_progress("catalogue", done, len(products))


async def _measure(
    ports: Ports,
    products: Sequence[ProductCreated],
    bench: ApiBench,
    used_seconds: Callable[[], float],
    on_progress: OnProgress,
) -> dict[str, Any]:
    take_short_turns()  # shoppers' machines are others than the shop's: their waiting is not the shop's
    rng = random.Random(11)
    host = f"{_HOST}:{ports.server}"
    paths = [get_request(host, f"/products/{p.product_id}/lists?n={bench.n}") for p in products]
    pages = over_and_over(lambda number: paths[rng.randrange(len(paths))])
    steady, empty, cpu = LoadResult(), LoadResult(), 0.0
    async with (
        HttpLoad(_HOST, ports.server, bench.connections) as readers,
        HttpLoad(_HOST, ports.empty, bench.connections) as idlers,
        HttpLoad(_HOST, ports.server, _EVENT_CONNECTIONS) as shoppers,
    ):
        seconds = 2 * bench.seconds + bench.saturation_seconds + _WARM_SECONDS
        events = _events(host, products, bench)
        beside = asyncio.create_task(shoppers.at_rate(events, bench.events_per_second, seconds, 202))
        await readers.at_rate(pages, bench.requests_per_second, _WARM_SECONDS, 200)
        for turn in range(_TURNS):
            on_progress("measured", turn, _TURNS + 1)
            before = used_seconds()
            steady.add(await readers.at_rate(pages, bench.requests_per_second, bench.seconds / _TURNS, 200))
            cpu += used_seconds() - before
            empty.add(await idlers.at_rate(pages, bench.requests_per_second, bench.seconds / _TURNS, 200))
        on_progress("measured", _TURNS, _TURNS + 1)
        most = await readers.as_fast_as_answered(pages, bench.saturation_seconds, 200)
        on_progress("measured", _TURNS + 1, _TURNS + 1)
        taken = await beside
    return {
        "p50_ms": steady.percentile_ms(50),
        "p99_ms": steady.percentile_ms(99),
        "empty_p50_ms": empty.percentile_ms(50),
        "empty_p99_ms": empty.percentile_ms(99),
        "requests_per_s": steady.per_second,
        "errors": steady.errors + most.errors + taken.errors,
        "saturation_requests_per_s": most.per_second,
        "server_cores": round(cpu / steady.seconds, 2),
        "events_per_s": taken.per_second,
        "event_p99_ms": taken.percentile_ms(99),
    }


def _cpu_seconds(pid: int | None) -> float:
    """What a process and its children have used of the processors so far."""
    if pid is None:
        return 0.0
    process = psutil.Process(pid)
    times = [of.cpu_times() for of in (process, *process.children(recursive=True))]
    return sum(of.user + of.system for of in times)


def _events(host: str, products: Sequence[ProductCreated], bench: ApiBench) -> Iterator[bytes]:
    """What the shoppers do from now on, as requests."""
    behaviour = Behaviour(events_per_second=bench.events_per_second)
    shoppers = Shoppers(products, bench.shoppers, 4, behaviour)
    for event in shoppers.events(None, time.time_ns() // 1_000_000):
        yield post_request(host, "/events", json.dumps(_document(event)).encode())


def _document(event: ShopperEvent) -> dict[str, Any]:
    """The event as a page sends it; the server dates it."""
    sort = "view" if isinstance(event, PdpView) else "cart-add" if isinstance(event, CartAdd) else "purchase"
    document = {"type": sort, "product_id": event.product_id, "event_id": event.event_id}
    if event.user_id is not None:
        document["user_id"] = event.user_id
    if event.session_id is not None:
        document["session_id"] = event.session_id
    return document
