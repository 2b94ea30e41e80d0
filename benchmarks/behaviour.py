"""What learning from an event and computing a for-you list cost, and what the state takes, as a shop grows.

The core alone, without Kafka, encoding or decoding, on one thread's CPU time. Shoppers have a taste for one group
of products, and come back every few events; the last tenth of their sessions is on the clock, when the state is as
large as it gets. Learning is everything that an event leads to: the history, pairs of visits, co-occurrence rows,
the index of sessions, and the vectors of matrix factorisation. Each size has a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import psutil
from numpy.typing import NDArray

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
_BATCH_SESSIONS = 200
_UNTIMED_BATCH_SESSIONS = 4_000
_LIST_LENGTH = 20
_TIMED_SHARE = 0.1
_LISTS = 300
_PERIOD_MS = 30 * 86_400_000
_PAUSE_MS = 60_000
_BREAK_MS = 3 * 86_400_000
_BREAK_SHARE = 0.2
"""Of the times from one event to the next, those that are breaks, after which another session begins."""


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
        self.histories = self.for_you.new_histories()
        for number in range(items):
            self.for_you.put_product(f"p{number}", ProductCreated(f"p{number}", 1))

    def learn(self, batch: dict[str, list[HistoryEvent]]) -> list[tuple[str, ItemFactors | None]]:
        """Learn a batch of events; returns the vectors that moved."""
        pairs = CoVisitBatch(self.pair_rules, self.history_rules)
        states: dict[str, UserHistory | None] = {}
        for user, events in batch.items():
            history = self.histories.get(user)
            if history is None:
                history = self.histories[user] = History()
            pairs.add(history, events, [_Cause()] * len(events))
            states[user] = history.snapshot(user)
        for co_visits in pairs.messages():
            self.rows.add(co_visits)
        self.for_you.sessions.put(states)
        self.learner.learn(sessions_of(states, self.learner.assign, ActionWeights()))
        moved = zip(*self.learner.take_moved(), strict=True)
        return [(product_id, ItemFactors(product_id, 0, vector.tobytes(), 1)) for product_id, vector in moved]

    def list_products(self, users: Sequence[str], listed: Sequence[str]) -> None:
        """Have histories hold lists, as they do once some were published."""
        for user in users:
            self.histories[user].listed = tuple(listed)
        self.histories.settle()


def bench_behaviour(
    sizes: Sequence[Size] = SIZES, on_progress: OnProgress = lambda done, total: None
) -> list[dict[str, Any]]:
    """``measure`` each size in a process of its own, one after the other.

    ``on_progress`` is told (events learnt, events in all). Raises ``CalledProcessError`` where a process fails.
    """
    total, before = sum(size.users * size.history for size in sizes), 0
    found = []
    for size in sizes:
        command = [sys.executable, "-m", "benchmarks.behaviour", *map(str, astuple(size))]
        one_thread = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | one_thread) as process:
            line = ""
            for line in process.stdout or ():
                if line.strip().isdecimal():
                    on_progress(before + int(line), total)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
        found.append(json.loads(line))
        before += size.users * size.history
    return found


def measure(size: Size, on_progress: Callable[[int], None] = lambda done: None) -> dict[str, Any]:
    """CPU µs an event, CPU ms a list, bytes a shopper and an item over all stages together.

    ``resident_bytes`` is what the process grew by. ``on_progress`` is told how many events were learnt.
    """
    clicks = _clicks(size)
    resident = psutil.Process().memory_info().rss
    core, done, timed, seconds = _Core(size.items), 0, 0, 0.0
    listed = [f"p{number % size.items}" for number in range(_LIST_LENGTH)]
    for is_timed, batch in _batches(clicks):
        events = sum(map(len, batch.values()))
        began = time.process_time()
        moved = core.learn(batch)
        if moved:
            core.for_you.factors.put(moved)
        if is_timed:
            seconds += time.process_time() - began
            timed += events
        core.list_products(list(batch), listed)
        done += events
        on_progress(done)
    return {
        "users": size.users,
        "items": size.items,
        "history": size.history,
        "learn_us_per_event": round(seconds * 1e6 / timed, 1),
        "recommend_ms": _recommend_ms(core, size.users),
        "bytes_per_user": round(_user_bytes(core) / size.users),
        "bytes_per_item": round(_item_bytes(core) / size.items),
        "resident_bytes": psutil.Process().memory_info().rss - resident,
    }


class _Clicks(NamedTuple):
    """Events of all shoppers, session after session, the sessions in order of time."""

    users: NDArray[np.int64]
    products: NDArray[np.int64]
    times_ms: NDArray[np.int64]
    sessions: NDArray[np.int64]
    """The first event of each."""


def _clicks(size: Size) -> _Clicks:
    """Two thirds of a shopper's products are from one group."""
    random, shape = np.random.default_rng(1), (size.users, size.history)
    groups = max(1, size.items // _GROUP_ITEMS)
    own = random.integers(groups, size=(size.users, 1)) + groups * random.integers(_GROUP_ITEMS, size=shape)
    other = (size.items * random.random(shape) ** 3).astype(np.int64)
    products = np.where(random.random(shape) < 2 / 3, own, other) % size.items
    breaks = random.random(shape) < _BREAK_SHARE
    breaks[:, 0] = True
    pauses_ms = random.exponential(np.where(breaks, _BREAK_MS, _PAUSE_MS)).astype(np.int64)
    pauses_ms[:, 0] = random.integers(_PERIOD_MS, size=size.users)
    times_ms = np.cumsum(pauses_ms, axis=1)
    firsts = np.flatnonzero(breaks)
    order = np.argsort(times_ms.ravel()[firsts], kind="stable")
    lengths = np.diff(np.append(firsts, breaks.size))[order]
    ends = np.cumsum(lengths)
    places = np.repeat(firsts[order] - (ends - lengths), lengths) + np.arange(breaks.size)
    return _Clicks(places // size.history, products.ravel()[places], times_ms.ravel()[places], ends - lengths)


def _batches(clicks: _Clicks) -> Iterator[tuple[bool, dict[str, list[HistoryEvent]]]]:
    """Events of some sessions at a time, by shopper; True for those on the clock, the last and smaller ones."""
    timed = int((1.0 - _TIMED_SHARE) * len(clicks.sessions))
    untimed, on_clock = clicks.sessions[:timed:_UNTIMED_BATCH_SESSIONS], clicks.sessions[timed::_BATCH_SESSIONS]
    for start, end in pairwise([*untimed.tolist(), *on_clock.tolist(), len(clicks.users)]):
        batch: dict[str, list[HistoryEvent]] = {}
        columns = (column[start:end].tolist() for column in clicks[:3])
        for place, (user, product, at_ms) in enumerate(zip(*columns, strict=True), start):
            batch.setdefault(f"user-{user}", []).append(HistoryEvent(at_ms, place, f"p{product}", 0, 1.0))
        yield start >= on_clock[0], batch


def _recommend_ms(core: _Core, users: int) -> dict[str, float]:
    """CPU time of single lists, after those of all products have been asked for once."""
    for row in core.rows:
        core.for_you.tables.put_row(row.product_id, encode(row.snapshot()))
    milliseconds: list[float] = []
    for _ in range(2):
        milliseconds.clear()
        for number in range(0, users, max(1, users // _LISTS)):
            user = f"user-{number}"
            history = core.histories[user]
            began = time.process_time()
            core.for_you.recommend(history, 20, subject=user)
            milliseconds.append((time.process_time() - began) * 1_000)
        core.histories.settle()
    p50, p99 = np.quantile(milliseconds, [0.5, 0.99])
    return {"p50": round(float(p50), 3), "p99": round(float(p99), 3)}


def _user_bytes(core: _Core) -> int:
    """Histories, both indexes of visits, shoppers' vectors."""
    indexes = core.for_you.sessions.nbytes + core.learner.index.nbytes
    return core.histories.nbytes + indexes + core.learner.users.vectors.nbytes


def _item_bytes(core: _Core) -> int:
    """Rows and the index of their companions, rows as others follow them, and vectors: learnt, and scored."""
    followed = sum(len(encode(row.snapshot())) for row in core.rows)
    return core.rows.nbytes + followed + core.learner.item_bytes + core.for_you.factors.nbytes


if __name__ == "__main__":
    wanted = Size(*map(int, sys.argv[1:4]))
    print(json.dumps(measure(wanted, lambda done: print(done, flush=True))))
