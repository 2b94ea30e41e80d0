"""How soon a subscriber has what follows from an event: real Kafka, every stage a process, quiet but for it.

Times are from the call that publishes to the poll that returns the list, on one machine and one clock. The empty
hop is measured before the stages start: the same client, topics and subscriber with a process between them that
only copies.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.pictures import render
from benchmarks.stage_processes import stage_processes
from consumers.runtime.records import Record
from deploy.supervisor import ProcessSpec, Supervisor
from deploy.topics import delete_topics, ensure_topics
from producers.client import ShopEvents
from producers.connection import ClientLimits
from producers.simulate import Shoppers
from schemas.codec import decode
from schemas.errors import RecsysError
from schemas.events import Kind, ProductCreated, RecommendationUpdated
from schemas.kafka_settings import KafkaSettings
from schemas.topics import CO_VISITS, RECOMMENDATION_UPDATED, Topic
from storefront.following import TopicFollower

_POLL_MS = 50
_READY_SECONDS = 60.0
_SETTLE_SECONDS = 60.0
_QUIET_SECONDS = 2.0
_LAST_SECONDS = 15.0

OnProgress = Callable[[str, int, int], None]


class MissingListError(RecsysError):
    """Something that should have been published did not come."""


@dataclass(frozen=True, slots=True)
class FreshnessBench:
    """How much is measured, and how fast it comes."""

    products: int = 200
    categories: int = 8
    shoppers: int = 200
    earlier_events: int = 2_000
    views: int = 300
    views_per_second: float = 20.0
    new_products: int = 40
    new_products_per_second: float = 2.0


def bench_freshness(
    kafka: KafkaSettings,
    folder: Path,
    bench: FreshnessBench | None = None,
    on_progress: OnProgress = lambda what, done, total: None,
) -> dict[str, Any]:
    """Milliseconds at p50 and p99; ``folder`` takes pictures and logs, ``on_progress`` (what, done, total)."""
    bench = bench or FreshnessBench()
    result: dict[str, Any] = {}
    hop = kafka.model_copy(update={"topic_prefix": f"{kafka.topic_prefix}hop."})
    ensure_topics(hop)
    with _processes(_hop_process(hop), folder), _shop(hop, CO_VISITS) as (client, follower):
        _first_copy(client, follower)
        result["empty_hop_ms"] = _views(client, follower, bench, on_progress, "hops", _copied)
    delete_topics(hop)
    with (
        _processes(stage_processes(kafka, folder / "images"), folder),
        _shop(kafka, RECOMMENDATION_UPDATED) as (client, follower),
    ):
        products = _products(bench, folder / "images")
        _settle(client, follower, bench, products, on_progress)
        result["view_to_list_ms"] = _views(client, follower, bench, on_progress, "views", _listed)
        result["product_to_lists_ms"] = _new_products(client, follower, bench, folder / "images", on_progress)
    return result


def _hop_process(kafka: KafkaSettings) -> Sequence[ProcessSpec]:
    servers = ",".join(kafka.client_options()["bootstrap_servers"])
    environment = {"KAFKA_BOOTSTRAP_SERVERS": servers, "KAFKA_TOPIC_PREFIX": kafka.topic_prefix}
    return [ProcessSpec("empty-hop", [sys.executable, "-m", "benchmarks.empty_hop"], environment)]


@contextmanager
def _processes(specs: Sequence[ProcessSpec], folder: Path) -> Iterator[None]:
    with Supervisor(specs, folder / "logs") as supervisor:
        supervisor.start()
        supervisor.wait_ready(_READY_SECONDS)
        yield


@contextmanager
def _shop(kafka: KafkaSettings, followed: Topic) -> Iterator[tuple[ShopEvents, TopicFollower]]:
    """A shop that sends at once, and a subscriber from the end on."""
    with (
        TopicFollower(kafka, [followed], start="end") as follower,
        ShopEvents(kafka, limits=ClientLimits(linger_ms=0)) as client,
    ):
        yield client, follower


class _Stopwatch:
    """Times from sending to arrival, by whatever names what was sent."""

    def __init__(self) -> None:
        self._sent: dict[str, float] = {}
        self.times_ms: list[float] = []

    @property
    def waiting(self) -> bool:
        return bool(self._sent)

    def start(self, name: str) -> None:
        self._sent[name] = time.perf_counter()

    def stop(self, name: str, at: float) -> None:
        sent = self._sent.pop(name, None)
        if sent is not None:
            self.times_ms.append(1_000 * (at - sent))

    def result(self) -> dict[str, float]:
        p50, p99 = np.percentile(self.times_ms, [50, 99])
        return {"p50": round(float(p50), 1), "p99": round(float(p99), 1)}


def _measure(
    follower: TopicFollower,
    actions: Sequence[tuple[str, Callable[[], object]]],
    per_second: float,
    names_of: Callable[[Record], Sequence[str]],
    progress: Callable[[int, int], None],
) -> dict[str, float]:
    """Send at a steady pace and wait for what follows from each; ``names_of`` tells what a record answers."""
    stopwatch = _Stopwatch()
    due = time.perf_counter()
    sent = 0
    while sent < len(actions) or stopwatch.waiting:
        now = time.perf_counter()
        if sent < len(actions) and now >= due:
            name, send = actions[sent]
            stopwatch.start(name)
            send()
            sent, due = sent + 1, due + 1 / per_second
            progress(sent, len(actions))
        elif sent == len(actions) and now > due + _LAST_SECONDS:
            raise MissingListError(f"nothing was published for some of {sent} events; see the stages' logs")
        wait_ms = max(0.0, due - time.perf_counter()) * 1_000 if sent < len(actions) else _POLL_MS
        records = follower.poll(int(min(wait_ms, _POLL_MS)))
        at = time.perf_counter()
        for record in records:
            for name in names_of(record):
                stopwatch.stop(name, at)
    return stopwatch.result()


def _views(
    client: ShopEvents,
    follower: TopicFollower,
    bench: FreshnessBench,
    on_progress: OnProgress,
    what: str,
    names_of: Callable[[Record], Sequence[str]],
) -> dict[str, float]:
    """Each view is a new shopper's first, so that a list follows from it."""
    rng = random.Random(7)
    actions = []
    for number in range(bench.views):
        shopper = f"{what}-{number}"
        product = f"p{rng.randrange(bench.products)}"
        actions.append((shopper, _view_of(client, shopper, product)))
    return _measure(follower, actions, bench.views_per_second, names_of, lambda *n: on_progress(what, *n))


def _view_of(client: ShopEvents, shopper: str, product: str) -> Callable[[], object]:
    return lambda: client.viewed(shopper, product)


def _copied(record: Record) -> Sequence[str]:
    return [record.key.decode()] if record.key else []


def _listed(record: Record) -> Sequence[str]:
    kind, _, subject = (record.key or b"").decode().partition(":")
    return [subject] if kind == Kind.FOR_YOU and record.value is not None else []


def _first_copy(client: ShopEvents, follower: TopicFollower) -> None:
    """The process is in its group once a view comes through."""
    _measure(follower, [("first", _view_of(client, "first", "p0"))], 1.0, _copied, lambda *n: None)


def _products(bench: FreshnessBench, images: Path) -> list[ProductCreated]:
    at_ms = time.time_ns() // 1_000_000
    return [
        ProductCreated(
            f"p{number}",
            at_ms,
            category=f"category-{number % bench.categories}",
            image_url=render(images, number),
        )
        for number in range(bench.products)
    ]


def _settle(
    client: ShopEvents,
    follower: TopicFollower,
    bench: FreshnessBench,
    products: Sequence[ProductCreated],
    on_progress: OnProgress,
) -> None:
    """Bring the catalogue and some behaviour in, and wait until all products are listed and nothing more comes."""
    for product in products:
        client.publish(product)
    start_ms = time.time_ns() // 1_000_000 - 3_600_000
    for event in Shoppers(products, bench.shoppers, 3).events(bench.earlier_events, start_ms):
        client.publish(event)
    client.flush()
    subjects: set[str] = set()
    quiet_since = began = time.monotonic()
    while len(subjects) < len(products) or time.monotonic() - quiet_since < _QUIET_SECONDS:
        records = follower.poll(_POLL_MS)
        if records:
            quiet_since = time.monotonic()
            subjects.update(_similar_subjects(records))
            on_progress("catalogue", len(subjects), len(products))
        if time.monotonic() - began > _SETTLE_SECONDS:
            raise MissingListError(f"only {len(subjects)} of {len(products)} products have a similar list")


def _similar_subjects(records: Sequence[Record]) -> Iterator[str]:
    for record in records:
        kind, _, subject = (record.key or b"").decode().partition(":")
        if kind == Kind.SIMILAR:
            yield subject


def _new_products(
    client: ShopEvents, follower: TopicFollower, bench: FreshnessBench, images: Path, on_progress: OnProgress
) -> dict[str, float]:
    """New products look much like earlier ones; timed until one is in the list of another product."""
    actions = []
    for number in range(bench.new_products):
        product_id = f"new{number}"
        url = render(images, number % bench.products, variant=1)
        actions.append((product_id, _creation_of(client, product_id, url)))
    return _measure(
        follower,
        actions,
        bench.new_products_per_second,
        _new_in_list,
        lambda *n: on_progress("new products", *n),
    )


def _creation_of(client: ShopEvents, product_id: str, url: str) -> Callable[[], object]:
    def create() -> None:
        at_ms = time.time_ns() // 1_000_000
        client.publish(ProductCreated(product_id, at_ms, category="category-0", image_url=url))

    return create


def _new_in_list(record: Record) -> Sequence[str]:
    if record.value is None or not (record.key or b"").startswith(Kind.SIMILAR.encode()):
        return []
    listed = decode(RECOMMENDATION_UPDATED.name, record.value)
    assert isinstance(listed, RecommendationUpdated)
    others = (item.product_id for item in listed.items if item.product_id != listed.subject)
    return [product_id for product_id in others if product_id.startswith("new")]
