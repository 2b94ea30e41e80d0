from __future__ import annotations

from typing import cast

from consumers.configuration import Configuration
from consumers.item_neighbours.settings import ItemNeighbourSettings
from consumers.item_neighbours.stage import ItemNeighboursStage
from consumers.runtime.memory import MemoryLog, MemoryTransport
from consumers.runtime.stage import Stage
from consumers.runtime.worker import Worker
from consumers.stages import make_stage
from schemas.codec import decode, encode
from schemas.events import CoVisits, ProductCreated, RecommendationUpdated, Relation

LIFT = Configuration(item_neighbours=ItemNeighbourSettings(viewed_measure="lift"))


def worker_of(log: MemoryLog, stage: Stage) -> Worker:
    names = [topic.name for topic in stage.spec.inputs]
    return Worker(
        stage, MemoryTransport(log, "item-neighbours", names, [topic.name for topic in stage.spec.tables])
    )


def settle(*workers: Worker) -> None:
    quiet = 0
    while quiet < 5:
        worked = sum(worker.run_once(timeout_ms=0) for worker in workers)
        quiet = 0 if worked or not all(worker.idle for worker in workers) else quiet + 1


def visit(log: MemoryLog, product_id: str, companions: list[str], visits: int = 1) -> None:
    count = len(companions)
    message = CoVisits(
        product_id,
        [9] * visits,
        [0] * visits,
        [1.0] * visits,
        companions,
        [9] * count,
        [Relation.AFTER] * count,
        [1.0] * count,
        "e",
        9,
    )
    log.append("co-visits", product_id.encode(), encode(message))


def listed(log: MemoryLog, key: str) -> list[str]:
    value = cast(
        RecommendationUpdated, decode("recommendation-updated", log.table("recommendation-updated")[key.encode()])
    )
    return [item.product_id for item in value.items]


def test_shares_need_no_totals() -> None:
    stage = make_stage("item-neighbours", Configuration())
    assert type(stage) is ItemNeighboursStage
    assert "item-state" not in {topic.name for topic in stage.spec.tables}


def test_a_list_by_lift_follows_totals_of_every_partition_also_after_a_restart() -> None:
    log = MemoryLog(partitions=2)
    for product_id in ("kettle", "best", "plug", "cup"):
        log.append("product-created", product_id.encode(), encode(ProductCreated(product_id, 1)))
    first, second = (worker_of(log, make_stage("item-neighbours", LIFT)) for _ in range(2))
    visit(log, "best", [], visits=300)
    visit(log, "plug", [], visits=3)
    visit(log, "cup", [], visits=500)
    settle(first, second)
    visit(log, "kettle", ["best"] * 6 + ["plug"] * 4, visits=8)
    settle(first, second)
    assert listed(log, "viewed-next:kettle") == ["plug", "best"]
    alone = worker_of(log, make_stage("item-neighbours", LIFT))
    visit(log, "plug", [], visits=2_000)
    settle(first, second, alone)
    visit(log, "kettle", ["best"], visits=1)
    settle(first, second, alone)
    assert listed(log, "viewed-next:kettle") == ["best", "plug"]
