"""What the live view shows, gathered from the stream; the clock is handed in, so it can be fed by anything."""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from producers.clickstream import ShopperEvent
from schemas.events import Kind, RecommendationUpdated
from storefront.dead_letters import DeadLetter
from storefront.lists import ListChange

HISTORY_SECONDS = 60
"""How far back rates, percentiles and sparklines look."""
FEED_ROWS = 60
FEED_INTERVAL_MS = 350
"""Shortest time between two rows of the feed, so that a person can read them; the rest is only counted."""
FOCUS_IDLE_MS = 8_000
"""A shopper who does nothing for so long is left for another one."""
_STALE_MS = 2_000
_REMEMBERED_SHOPPERS = 2_000
_MAX_SAMPLES = 5_000


def percentile(samples: Sequence[float], share: float) -> float | None:
    """The nearest-rank percentile: the smallest sample that ``share`` of all do not exceed; None without any."""
    if not samples:
        return None
    return sorted(samples)[max(math.ceil(share * len(samples)) - 1, 0)]


@dataclass(frozen=True, slots=True)
class StageRow:
    """One stage as the view shows it; ``lag`` is records behind, None while unknown."""

    name: str
    state: str
    events_per_second: float = 0.0
    lag: int | None = None
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class FeedRow:
    """One change of a list, and when it was seen."""

    change: ListChange
    seen_at_ms: int


@dataclass(frozen=True, slots=True)
class Focus:
    """One shopper: what they did last, and their list as it followed from it."""

    subject: str
    actions: Sequence[ShopperEvent]
    """Newest first."""
    change: ListChange | None
    freshness_ms: int | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything on the screen at one moment."""

    elapsed_seconds: float
    events: int
    events_per_second: float
    event_rates: Sequence[float]
    list_changes: int
    changes_per_second: float
    lists_by_kind: Mapping[str, int]
    products: int
    freshness_p50_ms: float | None
    freshness_p99_ms: float | None
    freshness_by_second_ms: Sequence[float]
    dead_letters: int
    last_dead_letter: DeadLetter | None
    stages: Sequence[StageRow]
    focus: Focus | None
    feed: Sequence[FeedRow]


class _PerSecond:
    """Amounts by second, over the last ``HISTORY_SECONDS``."""

    def __init__(self) -> None:
        self._amounts: OrderedDict[int, float] = OrderedDict()

    def add(self, at_ms: int, amount: float = 1.0) -> None:
        second = at_ms // 1_000
        self._amounts[second] = self._amounts.get(second, 0.0) + amount
        while len(self._amounts) > HISTORY_SECONDS + 1:
            self._amounts.popitem(last=False)

    def series(self, now_ms: int) -> list[float]:
        """One amount for each complete second of the history, oldest first."""
        now = now_ms // 1_000
        return [self._amounts.get(second, 0.0) for second in range(now - HISTORY_SECONDS, now)]

    def rate(self, now_ms: int, seconds: int = 5) -> float:
        return sum(self.series(now_ms)[-seconds:]) / seconds


@dataclass(slots=True)
class _Shopper:
    actions: deque[ShopperEvent] = field(default_factory=lambda: deque(maxlen=8))
    active_at_ms: int = 0
    change: ListChange | None = None
    freshness_ms: int | None = None


class LiveModel:
    """Counts, remembers what is on the screen, and forgets the rest; for one thread."""

    def __init__(self, began_at_ms: int) -> None:
        self._began_at_ms = began_at_ms
        self.events = 0
        """Events published so far."""
        self._list_changes = self._dead_letters = 0
        self._event_rate, self._change_rate = _PerSecond(), _PerSecond()
        self._freshness: deque[tuple[int, int]] = deque(maxlen=_MAX_SAMPLES)
        self._last_dead_letter: DeadLetter | None = None
        self._feed: deque[FeedRow] = deque(maxlen=FEED_ROWS)
        self._waiting: dict[str, FeedRow] = {}
        self._shown_at_ms: dict[str, int] = {}
        self._fed_at_ms = 0
        self._shoppers: OrderedDict[str, _Shopper] = OrderedDict()
        self._focus: str | None = None

    def event(self, event: ShopperEvent, at_ms: int) -> None:
        """A shopper did something, and it was published."""
        self.events += 1
        self._event_rate.add(at_ms)
        shopper = self._shoppers.pop(event.subject, None) or _Shopper()
        shopper.actions.appendleft(event)
        shopper.active_at_ms = at_ms
        self._shoppers[event.subject] = shopper
        while len(self._shoppers) > _REMEMBERED_SHOPPERS:
            self._shoppers.popitem(last=False)

    def change(self, change: ListChange, seen_at_ms: int) -> None:
        """A list changed, as a subscriber saw it."""
        self._list_changes += 1
        self._change_rate.add(seen_at_ms)
        if change.kind == Kind.FOR_YOU and change.after is not None:
            self._shoppers_list(change, change.after, seen_at_ms)
        self._waiting[change.kind] = FeedRow(change, seen_at_ms)
        self._feed_one(seen_at_ms)

    def dead_letter(self, letter: DeadLetter) -> None:
        """A message was refused."""
        self._dead_letters += 1
        self._last_dead_letter = letter

    def snapshot(
        self, now_ms: int, stages: Sequence[StageRow], lists_by_kind: Mapping[str, int], products: int
    ) -> Snapshot:
        """What to show now."""
        self._feed_one(now_ms)
        self._refocus(now_ms)
        recent = [ms for at_ms, ms in self._freshness if at_ms >= now_ms - HISTORY_SECONDS * 1_000]
        return Snapshot(
            elapsed_seconds=(now_ms - self._began_at_ms) / 1_000,
            events=self.events,
            events_per_second=self._event_rate.rate(now_ms),
            event_rates=self._event_rate.series(now_ms),
            list_changes=self._list_changes,
            changes_per_second=self._change_rate.rate(now_ms),
            lists_by_kind={kind: lists_by_kind.get(kind, 0) for kind in Kind.ALL},
            products=products,
            freshness_p50_ms=percentile(recent, 0.5),
            freshness_p99_ms=percentile(recent, 0.99),
            freshness_by_second_ms=self._freshness_series(now_ms),
            dead_letters=self._dead_letters,
            last_dead_letter=self._last_dead_letter,
            stages=stages,
            focus=self._focused(),
            feed=list(self._feed),
        )

    def _shoppers_list(self, change: ListChange, after: RecommendationUpdated, seen_at_ms: int) -> None:
        fresh = max(seen_at_ms - after.caused_at_ms, 0)
        self._freshness.append((seen_at_ms, fresh))
        shopper = self._shoppers.get(change.subject)
        if shopper is not None:
            shopper.change, shopper.freshness_ms = change, fresh

    def _feed_one(self, now_ms: int) -> None:
        """One row at a time, of the kind shown least recently: the busiest would crowd out all others."""
        if now_ms - self._fed_at_ms < FEED_INTERVAL_MS:
            return
        self._waiting = {k: row for k, row in self._waiting.items() if now_ms - row.seen_at_ms < _STALE_MS}
        if self._waiting:
            kind = min(self._waiting, key=lambda k: self._shown_at_ms.get(k, 0))
            self._feed.appendleft(self._waiting.pop(kind))
            self._fed_at_ms = self._shown_at_ms[kind] = now_ms

    def _refocus(self, now_ms: int) -> None:
        shopper = self._shoppers.get(self._focus) if self._focus is not None else None
        if shopper is not None and now_ms - shopper.active_at_ms < FOCUS_IDLE_MS:
            return
        candidates = [s for s in reversed(self._shoppers) if self._shoppers[s].change is not None][:20]
        # The one who did most is likeliest to go on.
        self._focus = max(candidates, key=lambda s: len(self._shoppers[s].actions), default=self._focus)

    def _focused(self) -> Focus | None:
        shopper = self._shoppers.get(self._focus) if self._focus is not None else None
        if shopper is None or self._focus is None:
            return None
        return Focus(self._focus, list(shopper.actions), shopper.change, shopper.freshness_ms)

    def _freshness_series(self, now_ms: int) -> list[float]:
        """The median of each complete second, oldest first; 0 for a second without a list."""
        seconds: dict[int, list[int]] = {}
        for at_ms, fresh in self._freshness:
            seconds.setdefault(at_ms // 1_000, []).append(fresh)
        now = now_ms // 1_000
        return [percentile(seconds.get(s, ()), 0.5) or 0.0 for s in range(now - HISTORY_SECONDS, now)]
