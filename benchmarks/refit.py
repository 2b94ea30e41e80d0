"""What a full refit is good for: the same lists before it, after our own, and after one on Spark.

    python -m benchmarks.refit ml-100k.inter [--spark]

Hold-out of MovieLens, learnt as a stream by all behaviour stages. Then each refit goes through the topics as
it does in a shop, from the state that the stream left.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.evaluation import Row, print_rows
from benchmarks.movielens import Holdout, Rating, read_holdout
from consumers.configuration import Configuration
from consumers.flow import BehaviourFlow
from consumers.item_factors.refit_job import Engine, OwnEngine, run_refit
from consumers.item_factors.refit_log import MemoryRefitLog
from recsys.evaluation.ranking import RankingEvaluation
from schemas.events import PdpView, ProductCreated


def main(
    inter: Path, spark: Annotated[bool, typer.Option(help="also on Spark; needs the extra of that name")] = False
) -> None:
    """NDCG@10 and Recall@20 of the for-you lists, the loss by visit, and seconds."""
    configuration, split = Configuration(), read_holdout(inter)
    engines: list[Engine] = [OwnEngine()]
    if spark:
        from consumers.item_factors.spark_engine import SparkEngine
        from deploy.embedded_kafka.distribution import find_java

        engines.append(SparkEngine(configuration.item_factors.spark, find_java()))
    rows: dict[str, Row] = {}
    for engine in engines:
        flow = BehaviourFlow(configuration)
        # Not fed, for then the log would let go of what a refit reads.
        flow.publish(ProductCreated(product_id, 0) for product_id in {str(r.item_number) for r in split.train})
        flow.run_until_quiet()
        flow.publish(_views(split.train))
        flow.run_until_quiet()
        rows.setdefault("streamed", _quality(flow, split))
        report = run_refit(MemoryRefitLog(flow.log), configuration.item_factors, engine)
        rows["streamed"]["loss"] = report.loss_before
        flow.run_until_quiet()
        rows[f"refit, engine {engine.name}"] = {
            **_quality(flow, split),
            "loss": report.loss_after,
            "seconds": report.seconds,
        }
    print_rows(rows)


def _views(ratings: Sequence[Rating]) -> list[PdpView]:
    ordered = sorted(ratings, key=lambda rating: rating.at_seconds)
    return [
        PdpView(f"{r.user_id}/{r.item_number}", r.at_seconds * 1_000, r.user_id, None, str(r.item_number))
        for r in ordered
    ]


def _quality(flow: BehaviourFlow, split: Holdout) -> Row:
    seen: dict[str, set[str]] = {}
    wanted: dict[str, set[str]] = {}
    for part, products in ((split.train, seen), (split.test, wanted)):
        for rating in part:
            products.setdefault(rating.user_id, set()).add(str(rating.item_number))
    at_10, at_20 = RankingEvaluation(10, ()), RankingEvaluation(20, ())
    for user_id, relevant in wanted.items():
        listed = [item.product_id for item in flow.recommend(user_id, 20, excluded=seen[user_id])]
        at_10.add(listed[:10], relevant)
        at_20.add(listed, relevant)
    return {"NDCG@10": at_10.metrics().ndcg, "Recall@20": at_20.metrics().recall}


if __name__ == "__main__":
    typer.run(main)
