from __future__ import annotations

import json
from dataclasses import replace

import pytest

from cli.accounting import Account, report
from cli.stage_metrics import read_figures
from consumers.runtime.metrics import StageMetrics
from consumers.runtime.records import TopicPartition

WHOLE = Account(
    products_published=40,
    products_taken=40,
    products_without_picture=1,
    products_embedded=38,
    products_refused=1,
    events_published=300,
    events_acknowledged=300,
    events_taken=300,
    events_refused=2,
    outcomes={"processed": 290, "duplicate": 5, "expired": 3, "dead-letter": 2},
)


def test_a_round_with_everything_accounted_for_has_lost_nothing() -> None:
    assert (WHOLE.events_processed, WHOLE.lost) == (298, 0)
    assert WHOLE.events_published == WHOLE.events_processed + WHOLE.events_refused


@pytest.mark.parametrize(
    ("changes", "lost"),
    [
        ({"events_taken": 293, "outcomes": None}, 7),
        ({"events_acknowledged": 304}, 4),
        ({"outcomes": {"processed": 297, "dead-letter": 2}}, 1),
        ({"outcomes": None}, 0),
        ({"products_embedded": 35}, 3),
        ({"products_taken": 39}, 1),
        ({"unfinished": {"trending": 6}}, 6),
        ({"other_dead_letters": 2}, 2),
        ({"events_taken": 299, "products_embedded": 37, "unfinished": {"trending": 1}}, 3),
    ],
)
def test_whatever_is_nowhere_is_lost(changes: dict[str, object], lost: int) -> None:
    assert replace(WHOLE, **changes).lost == lost  # type: ignore[arg-type]


def test_a_product_counted_twice_does_not_make_up_for_an_event() -> None:
    assert replace(WHOLE, products_embedded=60, events_taken=299, outcomes=None).lost == 1


def test_the_report_has_the_stable_keys() -> None:
    printed = report(WHOLE, {"similar": 38, "for-you": 0}, [30, 10, 20], seconds=1.5)
    assert json.loads(json.dumps(printed)) == {
        "products_published": 40,
        "products_embedded": 38,
        "products_without_picture": 1,
        "products_refused": 1,
        "events_published": 300,
        "events_processed": 298,
        "dead_letters": 2,
        "outcomes": {"processed": 290, "duplicate": 5, "expired": 3, "dead-letter": 2},
        "lists_by_kind": {"similar": 38},
        "freshness_ms": {"p50": 20, "p99": 30},
        "unfinished": {},
        "lost": 0,
        "seconds": 1.5,
    }
    assert report(WHOLE, {}, [])["freshness_ms"] == {"p50": None, "p99": None}


def test_a_stage_s_figures_are_read_from_the_metrics_it_serves() -> None:
    from prometheus_client import generate_latest

    metrics = StageMetrics("interactions")
    metrics.events("pdp-view", "processed", 41)
    metrics.events("pdp-view", "dead-letter", 1)
    metrics.events("purchase", "processed", 3)
    metrics.lag({TopicPartition("pdp-view", 0): 5, TopicPartition("purchase", 2): 2})
    figures = read_figures(generate_latest(metrics.registry).decode())
    assert figures.events == {
        ("pdp-view", "processed"): 41,
        ("pdp-view", "dead-letter"): 1,
        ("purchase", "processed"): 3,
    }
    assert (figures.lag, figures.total) == (7, 45)
