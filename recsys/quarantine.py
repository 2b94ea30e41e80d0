"""Who acts at a rate that no human does, by event time: they add nothing to what all share while they do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recsys.histories import History, HistoryEvent


@dataclass(frozen=True, slots=True)
class QuarantineRules:
    """A burst is ``events`` of a shopper within ``window_ms``; quarantine lasts ``release_ms`` from the last on.

    It follows from the events that the history holds, and so not from the order in which they came.
    """

    events: int = 150
    """Where 0, or more than a history holds, nobody is quarantined."""
    window_ms: int = 60_000
    release_ms: int = 86_400_000

    def is_inhuman(self, times_ms: Sequence[int]) -> bool:
        """True for a history of these times, oldest first, that held a burst of late."""
        if not 0 < self.events <= len(times_ms):
            return False
        times = np.array(times_ms, np.int64)
        ends = times[self.events - 1 :]
        ends = ends[ends - times[: len(ends)] <= self.window_ms]
        return bool(len(ends)) and int(ends[-1]) >= int(times[-1]) - self.release_ms

    def may_change(self, history: History, events: Sequence[HistoryEvent]) -> bool:
        """False where new events can neither begin a quarantine nor end one; costs next to nothing."""
        if history.is_quarantined:
            return True
        known = self.events - len(events)
        if self.events == 0 or not events or len(history) < known:
            return False
        if known <= 0:
            return True
        first_ms = min(events)[0]
        # New events that are the latest make a burst only with the latest of those before.
        return first_ms < history.latest_ms() or first_ms - history.latest_ms(known) <= self.window_ms
