"""What learning from an event and computing a for-you list cost, and what the state takes, as a shop grows.

The core alone, without Kafka, encoding or decoding, on one thread's CPU time. Shoppers have a taste for one group
of products; each goes through all of their history, the last share of the shoppers on the clock. Learning is
everything that an event leads to: the history, pairs of visits, co-occurrence rows, the index of sessions, and the
vectors of matrix factorisation.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from consumers.interactions.settings import InteractionSettings
from consumers.item_factors.settings import ItemFactorSettings
from consumers.item_neighbours.settings import ItemNeighbourSettings
from recsys.co_visits import ActionWeights, CoVisitBatch
from recsys.factors.learner import FactorLearner
from recsys.for_you import ForYou
from recsys.histories import History, HistoryEvent
from recsys.item_rows import ItemRows
from recsys.sessions.of_histories import sessions_of
from schemas.codec import encode
from schemas.events import ItemFactors, ProductCreated, UserHistory

OnProgress = Callable[[int, int], None]

_GROUP_ITEMS = 30
_STEP_MS = 20_000
_BATCH_USERS = 200
_TIMED_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Size:
    """How many shoppers and products there are, and how many events a shopper has."""

    users: int
    items: int
    history: int


SIZES = (Size(1_000, 300, 20), Size(10_000, 3_000, 20), Size(10_000, 3_000, 60), Size(100_000, 30_000, 20))


@dataclass(frozen=True, slots=True)
class _Cause:
    cause: str = "bench"
    timestamp_ms: int = 0


class _Core:
    """The stages' cores side by side."""

    def __init__(self, items: int) -> None:
        interactions = InteractionSettings()
        self.history_rules, self.pair_rules = interactions.history_rules(), interactions.pair_rules()
        self.for_you = ForYou(
            interactions.query_rules(), interactions.scoring_rules(), interactions.blend.model_dump()
        )
        self.rows = ItemRows(ItemNeighbourSettings().rules())
        factors = ItemFactorSettings()
        self.learner = FactorLearner(factors.rules(), factors.session_rules())
        self.histories: dict[str, History] = {}
        for number in range(items):
            self.for_you.put_product(f"p{number}", ProductCreated(f"p{number}", 1))

    def learn(self, batch: dict[str, list[HistoryEvent]]) -> list[tuple[str, ItemFactors | None]]:
        """Learn a batch of events; returns the vectors that moved."""
        pairs = CoVisitBatch(self.pair_rules, self.history_rules)
        states: dict[str, UserHistory | None] = {}
        for user, events in batch.items():
            history = self.histories.setdefault(user, History())
            pairs.add(history, events, [_Cause()] * len(events))
            states[user] = history.snapshot(user)
        for co_visits in pairs.messages():
            self.rows.add(co_visits)
        self.for_you.sessions.put(states)
        self.learner.learn(sessions_of(states, self.learner.assign, ActionWeights()))
        moved = zip(*self.learner.take_moved(), strict=True)
        return [(product_id, ItemFactors(product_id, 0, vector.tobytes(), 1)) for product_id, vector in moved]


def bench_behaviour(
    sizes: Sequence[Size] = SIZES, on_progress: OnProgress = lambda done, total: None
) -> list[dict[str, Any]]:
    """For each size: CPU µs an event, CPU ms a list, bytes a shopper and an item over all stages together.

    ``on_progress`` is told (shoppers through, shoppers in all).
    """
    total, found, done = sum(size.users for size in sizes), [], 0
    for size in sizes:
        core = _Core(size.items)
        batches = list(_batches(size))
        timed_from = int(len(batches) * (1.0 - _TIMED_SHARE))
        seconds = 0.0
        for number, batch in enumerate(batches):
            began = time.process_time()
            moved = core.learn(batch)
            if moved:
                core.for_you.factors.put(moved)
            seconds += time.process_time() - began if number >= timed_from else 0.0
            done += len(batch)
            on_progress(done, total)
        events = sum(len(own) for batch in batches[timed_from:] for own in batch.values())
        found.append(
            {
                "users": size.users,
                "items": size.items,
                "history": size.history,
                "learn_us_per_event": round(seconds * 1e6 / events, 1),
                "recommend_ms": _recommend_ms(core),
                "bytes_per_user": round(_user_bytes(core) / size.users),
                "bytes_per_item": round(_item_bytes(core) / size.items),
            }
        )
    return found


def _batches(size: Size) -> Iterator[dict[str, list[HistoryEvent]]]:
    """Events of some shoppers at a time, each with two thirds of their products from one group."""
    random = np.random.default_rng(1)
    groups = max(1, size.items // _GROUP_ITEMS)
    for first in range(0, size.users, _BATCH_USERS):
        batch: dict[str, list[HistoryEvent]] = {}
        for number in range(first, min(first + _BATCH_USERS, size.users)):
            group = random.integers(groups)
            own = group + groups * random.integers(_GROUP_ITEMS, size=size.history)
            other = (size.items * random.random(size.history) ** 3).astype(np.int64)
            products = np.where(random.random(size.history) < 2 / 3, own, other) % size.items
            batch[f"user-{number}"] = [
                HistoryEvent(
                    number * 1_000 + place * _STEP_MS, number * size.history + place, f"p{product}", 0, 1.0
                )
                for place, product in enumerate(products.tolist())
            ]
        yield batch


def _recommend_ms(core: _Core, lists: int = 300) -> dict[str, float]:
    """CPU time of single lists, after those of all products have been asked for once."""
    for row in core.rows:
        core.for_you.tables.put_row(row.product_id, encode(row.snapshot()))
    asked = list(core.histories.items())[:: max(1, len(core.histories) // lists)]
    milliseconds: list[float] = []
    for _ in range(2):
        milliseconds.clear()
        for user, history in asked:
            began = time.process_time()
            core.for_you.recommend(history, 20, subject=user)
            milliseconds.append((time.process_time() - began) * 1_000)
    p50, p99 = np.quantile(milliseconds, [0.5, 0.99])
    return {"p50": round(float(p50), 3), "p99": round(float(p99), 3)}


def _user_bytes(core: _Core) -> int:
    """Histories, both indexes of visits, shoppers' vectors."""
    histories = sum(history.nbytes + sys.getsizeof(user) for user, history in core.histories.items())
    indexes = core.for_you.sessions.nbytes + core.learner.index.nbytes
    return histories + indexes + core.learner.users.vectors.nbytes


def _item_bytes(core: _Core) -> int:
    """Rows, as bytes and unpacked, and vectors: the learner's, those published, and those that are scored."""
    rows = sum(row.nbytes + len(encode(row.snapshot())) for row in core.rows)
    return rows + 3 * core.learner.items.vectors.nbytes
