"""Prometheus metrics that every stage serves; names and labels are a contract with the dashboards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from consumers.runtime.records import TopicPartition
from schemas.events import Kind

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_RECORDS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2000, 5000)

_SHOWN = ("kind", "placement", "variant", "reason")

_OBSERVED: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "image_fetch": ("image_fetches", "Image fetches by what came of them.", ("outcome",)),
    "list_hits": (
        "list_hits",
        "What shoppers did next, by its rank in their for-you list as published before, and in the shop's popular "
        "and trending lists as a control.",
        ("kind", "segment", "rank"),
    ),
    "list_reciprocal_ranks": (
        "list_reciprocal_ranks",
        "The sum of the reciprocal ranks of the same events.",
        ("kind", "segment"),
    ),
    "quarantines": (
        "quarantines",
        "Shoppers whose rate no human has, that began to count for nobody else, or count again.",
        ("change",),
    ),
    "scorer_hits": (
        "scorer_hits",
        "A sample of what shoppers did next, by its rank in what each scorer alone would have listed.",
        ("scorer", "segment", "rank"),
    ),
    "scorer_reciprocal_ranks": (
        "scorer_reciprocal_ranks",
        "The sum of the reciprocal ranks of the same events.",
        ("scorer", "segment"),
    ),
    "outcomes": (
        "outcomes",
        "Clicks on recommendations, and cart-adds and purchases put down to them.",
        ("outcome", *_SHOWN),
    ),
    "revenue": (
        "outcome_revenue",
        "Revenue put down to recommendations, in the shop's currency.",
        _SHOWN,
    ),
    "returned_revenue": ("outcome_returned_revenue", "Of that, what returns took back.", _SHOWN),
}
"""What stages count on their own: the metric without its prefix, what it says, its labels besides the stage."""

_MEASURED = {
    "neighbour_recall": "Share of the exact lists' products that searches found lately.",
    "largest_in_degree": "In how many similar lists the most listed product stands.",
    "in_no_list_share": "Share of the products that stand in no similar list.",
    "factor_generation": "Number of the refit that products' vectors go on from; 0 before the first.",
}
"""What stages measure of themselves."""


class StageMetrics:
    """One stage's metrics in a registry of their own, so that stages can share a process in tests."""

    def __init__(self, stage: str, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        r = self.registry
        self._stage = stage
        self._lagging: set[TopicPartition] = set()
        self._events = Counter(
            "recsys_events", "Input events by what came of them.", ["stage", "topic", "outcome"], registry=r
        )
        self._lag = Gauge(
            "recsys_consumer_lag",
            "Records behind the end of a partition.",
            ["stage", "topic", "partition"],
            registry=r,
        )
        self._batch_records = Histogram(
            "recsys_batch_records", "Records a batch.", ["stage"], buckets=_RECORDS, registry=r
        )
        self._batch_seconds = Histogram(
            "recsys_batch_seconds", "Time to decode and step a batch.", ["stage"], buckets=_SECONDS, registry=r
        )
        self._transaction_seconds = Histogram(
            "recsys_transaction_seconds",
            "Time to write and commit a transaction.",
            ["stage"],
            buckets=_SECONDS,
            registry=r,
        )
        self._aborts = Counter(
            "recsys_transaction_aborts", "Transactions that did not commit.", ["stage", "error"], registry=r
        )
        self._lists = Counter("recsys_list_changes", "Lists published.", ["stage", "kind"], registry=r)
        self._event_freshness = Histogram(
            "recsys_event_to_recommendation_seconds",
            "From the broker's timestamp of an event to the commit of a list that it changed.",
            ["stage", "kind"],
            buckets=_SECONDS,
            registry=r,
        )
        self._product_freshness = Histogram(
            "recsys_product_to_recommendable_seconds",
            "From the broker's timestamp of product-created to the commit of a list with looks it changed.",
            ["stage"],
            buckets=_SECONDS,
            registry=r,
        )
        self._observed = {
            name: Counter(f"recsys_{full_name}", text, ["stage", *labels], registry=r)
            for name, (full_name, text, labels) in _OBSERVED.items()
        }
        self._measured = {
            name: Gauge(f"recsys_{name}", text, ["stage"], registry=r) for name, text in _MEASURED.items()
        }

    def events(self, topic: str, outcome: str, amount: int) -> None:
        """Committed input events."""
        self._events.labels(self._stage, topic, outcome).inc(amount)

    def lag(self, lag: Mapping[TopicPartition, int]) -> None:
        """Lag as it is now, records, of the partitions owned; those of others are not told here any more."""
        for topic, number in self._lagging - lag.keys():
            self._lag.remove(self._stage, topic, str(number))
        self._lagging = set(lag)
        for (topic, number), records in lag.items():
            self._lag.labels(self._stage, topic, str(number)).set(records)

    def aborted(self, error: str) -> None:
        """A transaction did not commit."""
        self._aborts.labels(self._stage, error).inc()

    def observed(self, observed: Mapping[tuple[str, ...], float]) -> None:
        """What a stage counts on its own."""
        for (name, *labels), amount in observed.items():
            self._observed[name].labels(self._stage, *labels).inc(amount)

    def measured(self, measured: Mapping[str, float]) -> None:
        """What a stage measures of itself."""
        for name, value in measured.items():
            self._measured[name].labels(self._stage).set(value)

    def lists(self, lists: Iterable[tuple[str, int]], now_ms: int) -> None:
        """Lists committed: (kind, broker's timestamp of the cause in ms)."""
        by_kind: dict[str, list[int]] = {}
        for kind, caused_at_ms in lists:
            by_kind.setdefault(kind, []).append(caused_at_ms)
        for kind, causes in by_kind.items():
            self._lists.labels(self._stage, kind).inc(len(causes))
            if kind in {Kind.SIMILAR, Kind.COMPLETE_THE_LOOK}:
                freshness = self._product_freshness.labels(self._stage)
            else:
                freshness = self._event_freshness.labels(self._stage, kind)
            for caused_at_ms in causes:
                freshness.observe(max(now_ms - caused_at_ms, 0) / 1000)

    @contextmanager
    def batch(self, records: int) -> Iterator[None]:
        """Time a batch; empty rounds are not counted."""
        began = perf_counter()
        yield
        if records:
            self._batch_records.labels(self._stage).observe(records)
            self._batch_seconds.labels(self._stage).observe(perf_counter() - began)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Time a transaction that commits."""
        began = perf_counter()
        yield
        self._transaction_seconds.labels(self._stage).observe(perf_counter() - began)
