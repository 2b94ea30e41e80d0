"""Lists against what shoppers did next: what ``recsys evaluate holdout`` and ``next-item`` compute.

Training runs through the stages' own code on the in-memory log. Asking for lists teaches them nothing.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cli.evaluation_files import (
    Positions,
    Recorded,
    Sessions,
    all_positions,
    read_events,
    read_positions,
    read_sessions,
    read_test_products,
    session_views,
)
from cli.progress import OnProgress
from consumers.configuration import Configuration
from consumers.flow import BehaviourFlow
from producers.clickstream import ShopperEvent
from producers.errors import UnreadableSourceError
from recsys.evaluation.ranking import RankingEvaluation, RankingMetrics
from recsys.histories import History, HistoryRules, history_event
from schemas.events import Action, PdpView, ProductCreated


class Trained(NamedTuple):
    """A flow that has taken every event, its products, and how long the events took."""

    flow: BehaviourFlow
    catalogue: frozenset[str]
    seconds: float


class Stopwatch:
    """Times single answers."""

    def __init__(self) -> None:
        self._seconds: list[float] = []

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Time one answer."""
        began = time.perf_counter()
        yield
        self._seconds.append(time.perf_counter() - began)

    def milliseconds(self) -> dict[str, float]:
        """The median and the 99th percentile."""
        p50, p99 = np.quantile(self._seconds or [0.0], [0.5, 0.99]) * 1_000
        return {"p50": round(float(p50), 3), "p99": round(float(p99), 3)}


class HoldoutFiles(NamedTuple):
    """Events to learn, what each user does afterwards, and which columns hold the fields, where names differ."""

    events: Path
    test: Path
    mapping: Mapping[str, str]


def evaluate_holdout(
    files: HoldoutFiles, configuration: Configuration, k: int, on_progress: OnProgress
) -> dict[str, Any]:
    """Learn the events in time order, then rank for each user of the test file what it has of the rest.

    A user's products in the events are left out of the list. A user without an event gets a newcomer's list.
    Returns the metrics, and what was read and how long it took. Errors: ``UnreadableSourceError``.
    """
    recorded = read_events(files.events, files.mapping)
    relevant = read_test_products(files.test, files.mapping)
    trained = _train(recorded.events, configuration, on_progress)
    seen = _products_by_subject(recorded.events, relevant)
    evaluation, stopwatch = RankingEvaluation(k, trained.catalogue), Stopwatch()
    for done, (subject, products) in enumerate(relevant.items(), 1):
        with stopwatch.timed():
            listed = trained.flow.recommend(subject, k, excluded=seen[subject])
        evaluation.add([item.product_id for item in listed], products)
        on_progress("ranking", done, len(relevant))
    return _report(evaluation.metrics(), recorded, trained, stopwatch)


class NextItemFiles(NamedTuple):
    """Sessions to learn, sessions to be asked about, which of their positions (all, if None), and the columns."""

    train: Path
    test: Path
    positions: Path | None
    mapping: Mapping[str, str]


def evaluate_next_item(
    files: NextItemFiles, configuration: Configuration, k: int, on_progress: OnProgress
) -> dict[str, Any]:
    """Learn the training sessions in time order, then rank each next click of the test sessions, as they unfold.

    Each query knows the session's clicks so far, which may be recommended again. Ties count against. Returns the
    metrics, and what was read and how long it took. Errors: ``UnreadableSourceError``.
    """
    sessions = read_sessions(files.test, files.mapping)
    positions = all_positions(sessions) if files.positions is None else read_positions(files.positions, sessions)
    queries = sum(map(len, positions.values()))
    if not queries:
        raise UnreadableSourceError(f"no session of {files.test.name} has two clicks, so none has a next one")
    recorded = Recorded(session_views(read_sessions(files.train, files.mapping)))
    trained = _train(recorded.events, configuration, on_progress)
    evaluation, stopwatch = RankingEvaluation(k, trained.catalogue), Stopwatch()
    rules = configuration.interactions.history_rules()
    for done, (history, next_item) in enumerate(_unfolding(sessions, positions, rules), 1):
        with stopwatch.timed():
            # One more than k, so that a tie across the boundary is seen.
            listed = trained.flow.recommend_for(history, k + 1)
        evaluation.add([item.product_id for item in listed], {next_item}, [item.score for item in listed])
        on_progress("ranking", done, queries)
    return _report(evaluation.metrics(), recorded, trained, stopwatch)


def _train(events: Sequence[ShopperEvent], configuration: Configuration, on_progress: OnProgress) -> Trained:
    """Publish every product of the events, then the events."""
    flow = BehaviourFlow(configuration)
    first_seen = {event.product_id: event.event_time_ms for event in reversed(events)}
    flow.feed(ProductCreated(product_id, at_ms) for product_id, at_ms in first_seen.items())
    began = time.perf_counter()
    flow.feed(events, on_progress=lambda done: on_progress("learning", done, len(events)))
    return Trained(flow, frozenset(first_seen), time.perf_counter() - began)


def _products_by_subject(events: Sequence[ShopperEvent], subjects: Collection[str]) -> dict[str, set[str]]:
    """All products of the whole file, for a history is bounded."""
    products: dict[str, set[str]] = {subject: set() for subject in subjects}
    for event in events:
        if event.subject in products:
            products[event.subject].add(event.product_id)
    return products


def _unfolding(sessions: Sessions, positions: Positions, rules: HistoryRules) -> Iterator[tuple[History, str]]:
    """Each session's history up to each of its positions, and what comes next; the history goes on afterwards."""
    for session_id, wanted in positions.items():
        clicks, history = sessions[session_id], History()
        for place in range(max(wanted, default=-1) + 1):
            product_id, at_ms = clicks[place]
            view = PdpView(f"{session_id}/{place}", at_ms, None, session_id, product_id)
            history.add(history_event(view, Action.VIEW), rules)
            if place in wanted:
                yield history, clicks[place + 1].product_id


def _report(metrics: RankingMetrics, recorded: Recorded, trained: Trained, stopwatch: Stopwatch) -> dict[str, Any]:
    return {
        **metrics._asdict(),
        "products": len(trained.catalogue),
        "events": len(recorded.events),
        "rejected": recorded.rejected,
        "first_rejection": recorded.first_rejection,
        "learn_us_per_event": round(trained.seconds * 1e6 / len(recorded.events), 1),
        "recommend_ms": stopwatch.milliseconds(),
    }
