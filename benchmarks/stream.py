"""Events a second of the interactions stage, exactly once on a real Kafka, beside an empty loop in the same run.

Simulated shoppers visit a catalogue. A first part of what they do goes through the behaviour stages, so that
histories, rows, vectors and popular lists are there; the rest is taken in rounds, each by the empty loop and by
the stage in turn, from a backlog. What the other stages would do at the same time is not part of it.
"""

from __future__ import annotations

import gc
import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.empty_loop import EmptyLoop
from consumers.interactions.stage import InteractionsStage
from consumers.item_factors.stage import ItemFactorsStage
from consumers.item_neighbours.stage import ItemNeighboursStage
from consumers.runtime.kafka_transport import KafkaTransport
from consumers.runtime.stage import Stage, StageSpec
from consumers.runtime.worker import Worker
from consumers.trending.stage import TrendingStage
from producers.clickstream import ShopperEvent
from producers.client import ShopEvents
from producers.simulate import Behaviour, Shoppers
from schemas.events import ProductCreated
from schemas.kafka_settings import KafkaSettings
from schemas.topics import CART_ADD, CO_VISITS, PDP_VIEW, PURCHASE

_DAY_MS = 86_400_000
_EMPTY = StageSpec("empty-loop", inputs=(PDP_VIEW, CART_ADD, PURCHASE))
_QUIET_ROUNDS = 5

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class StreamBench:
    """How much is done; ``open_sessions`` shoppers are about at a time, so a batch holds several of each."""

    events: int = 60_000
    warm_up_events: int = 20_000
    rounds: int = 3
    products: int = 2_000
    categories: int = 20
    shoppers: int = 5_000
    behaviour: Behaviour = field(default_factory=lambda: Behaviour(events_per_second=20.0, open_sessions=1_000))


def bench_stream(
    kafka: KafkaSettings, bench: StreamBench | None = None, on_progress: OnProgress = lambda done, total: None
) -> dict[str, Any]:
    """Medians over the rounds; ``on_progress`` is told (events through, events in all)."""
    bench = bench or StreamBench()
    total = bench.warm_up_events + bench.events
    shop = _products(bench)
    events = _events(bench, shop, total)
    with ShopEvents(kafka) as client:
        for product in shop:
            client.publish(product)
    _warm_up(kafka, list(itertools.islice(events, bench.warm_up_events)))
    on_progress(bench.warm_up_events, total)
    empty = EmptyLoop(kafka, _EMPTY, CO_VISITS, one_in=4)
    worker = _worker(kafka, InteractionsStage())
    try:
        _quiet([worker])
        empty.run_until(lambda taken: taken >= bench.warm_up_events)
        chunk = bench.events // bench.rounds
        rates: list[tuple[float, float]] = []
        for number in range(bench.rounds):
            _publish(kafka, list(itertools.islice(events, chunk)))
            rates.append((_rate(worker, chunk), _empty_rate(empty, chunk)))
            on_progress(bench.warm_up_events + (number + 1) * chunk, total)
    finally:
        empty.close()
        worker.stop()
        worker.run()
    return _result(rates, bench)


def _result(rates: Sequence[tuple[float, float]], bench: StreamBench) -> dict[str, Any]:
    stage, empty = (statistics.median(column) for column in zip(*rates, strict=True))
    return {
        "events_per_s": round(stage),
        "empty_loop_events_per_s": round(empty),
        "ratio": round(stage / empty, 3),
        "events": bench.events,
        "rounds": [{"events_per_s": round(s), "empty_loop_events_per_s": round(e)} for s, e in rates],
    }


def _products(bench: StreamBench) -> list[ProductCreated]:
    at_ms = time.time_ns() // 1_000_000 - _DAY_MS
    return [
        ProductCreated(f"p{number}", at_ms, f"Product {number}", f"category-{number % bench.categories}")
        for number in range(bench.products)
    ]


def _events(bench: StreamBench, shop: Sequence[ProductCreated], total: int) -> Iterator[ShopperEvent]:
    start_ms = time.time_ns() // 1_000_000 - round(1_000 * total / bench.behaviour.events_per_second)
    return Shoppers(shop, bench.shoppers, 1, bench.behaviour).events(total, start_ms)


def _publish(kafka: KafkaSettings, events: Sequence[ShopperEvent]) -> None:
    with ShopEvents(kafka) as client:
        for event in events:
            client.publish(event)


def _warm_up(kafka: KafkaSettings, events: Sequence[ShopperEvent]) -> None:
    _publish(kafka, events)
    stages = (InteractionsStage(), ItemNeighboursStage(), ItemFactorsStage(), TrendingStage())
    workers = [_worker(kafka, stage) for stage in stages]
    _quiet(workers)
    for worker in workers:
        worker.stop()
        worker.run()


def _worker(kafka: KafkaSettings, stage: Stage) -> Worker:
    return Worker(stage, KafkaTransport(stage.spec, kafka))


def _quiet(workers: Sequence[Worker]) -> None:
    """Run until all own their partitions and nothing comes any more."""
    quiet = 0
    while quiet < _QUIET_ROUNDS:
        taken = sum(worker.run_once() for worker in workers)
        settled = all(worker.ready and worker.idle for worker in workers)
        quiet = quiet + 1 if settled and not taken else 0


def _rate(worker: Worker, events: int) -> float:
    gc.collect()
    done = sum(worker.processed.values()) + events
    began = time.perf_counter()
    while sum(worker.processed.values()) < done:
        worker.run_once()
    return events / (time.perf_counter() - began)


def _empty_rate(empty: EmptyLoop, events: int) -> float:
    gc.collect()
    began = time.perf_counter()
    empty.run_until(lambda taken: taken >= events)
    return events / (time.perf_counter() - began)
