"""The refit on Apache Spark's ALS, for more visits than one machine solves in good time.

Spark minimises the same sums over visits and over all pairs (``recsys.factors.objective``), but weighs the pull
towards zero by how many visits a shopper or an item has, and knows no features. It is given a pull that is ours at
the mean number of visits. Shoppers' vectors stay in Spark; ours follow from the items' as everywhere else.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from consumers.item_factors.settings import SparkSettings
from consumers.item_factors.spark_gateway import SparkFailedError, spark_session
from recsys.factors.learner import FactorLearner
from recsys.factors.objective import loss
from recsys.factors.refit import Fitted, OnSweep, RefitRules
from recsys.sessions.exchanging import Numbers

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_CHECKPOINT_SWEEPS = 5
"""Where Spark may write checkpoints, what it has to do for a sweep does not grow with the sweeps before."""


class _Found(NamedTuple):
    items: Numbers
    vectors: np.typing.NDArray[np.float32]
    """Shape (items, factors)."""


class SparkEngine:
    """Fits anew, from vectors of Spark's own making; ``java`` is the program that runs it."""

    name = "spark"

    def __init__(self, settings: SparkSettings, java: Path) -> None:
        self._settings = settings
        self._java = java

    def fit(self, learner: FactorLearner, rules: RefitRules, on_sweep: OnSweep) -> Fitted:
        """Have Spark fit; it makes ``spark.iterations`` sweeps whatever the rules, and does not say when.

        Raises ``ConfigurationError`` without pyspark, ``SparkFailedError`` where Spark does not get through.
        """
        with spark_session(self._settings, self._java) as session, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pandas, which is not used
            found = self._fit(session, learner)
        learner.adopt([learner.product_ids[number] for number in found.items.tolist()], found.vectors)
        return Fitted(self._settings.iterations, loss(learner), None)

    def _fit(self, session: SparkSession, learner: FactorLearner) -> _Found:
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException
        from pyspark.ml.recommendation import ALS

        blocks = max(2, session.sparkContext.defaultParallelism)
        try:
            model = ALS(
                rank=learner.rules.factors,
                maxIter=self._settings.iterations,
                regParam=learner.rules.regularisation / mean_visits(learner),
                alpha=learner.rules.alpha,
                implicitPrefs=True,
                userCol="user",
                itemCol="item",
                ratingCol="strength",
                numUserBlocks=blocks,
                numItemBlocks=blocks,
                checkpointInterval=_CHECKPOINT_SWEEPS,
                seed=1,
            ).fit(session.createDataFrame(_visits(learner)))
            found = model.itemFactors.toArrow()
        except (PySparkException, Py4JError) as error:
            raise SparkFailedError(f"Spark did not get through: {str(error)[:1_000]}") from error
        vectors = found["features"].combine_chunks().flatten().to_numpy()
        return _Found(found["id"].to_numpy(), vectors.reshape(-1, learner.rules.factors))


def mean_visits(learner: FactorLearner) -> float:
    """Visits that a shopper or an item has, on average over both."""
    visits = learner.index.visits.lengths[learner.index.used()].sum()
    items = np.count_nonzero(learner.index.popularity(np.arange(len(learner))))
    return float(2.0 * visits / (len(learner.index) + items))


def _visits(learner: FactorLearner) -> Any:
    """All visits as an Arrow table, by the numbers of shoppers and items."""
    import pyarrow as pa

    users = learner.index.used()
    counts, items, strengths = learner.index.visited(users)
    owners = np.repeat(users, counts).astype(np.int32)
    return pa.table({"user": owners, "item": items, "strength": strengths.astype(np.float32)})
