"""Taking back what a shopper added to what all share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

from recsys.co_visits import Cause, CoVisitBatch, PairRules
from recsys.histories import History, HistoryEvent, HistoryRules
from schemas.events import CoVisits

_EVERYTHING = HistoryRules(max_events=1 << 31, retention_ms=1 << 62)


class Unnamed(NamedTuple):
    """A request to be forgotten as a cause: outputs that it leads to do not say who asked."""

    timestamp_ms: int
    cause: str = "user-updated"


class Withdrawals:
    """Gathers events of which every visit and pair is to be taken back.

    What they added follows from the set of events alone (``recsys.co_visits``), so it is computed from what is
    kept by the very definition that it was added by, and sums come out as if the events had never been. Events
    that a history no longer holds cannot be taken back: what they added has no name to it, and decays.
    """

    def __init__(self, rules: PairRules) -> None:
        self._batch = CoVisitBatch(rules, _EVERYTHING)

    def take_back(self, events: Iterable[HistoryEvent], cause: Cause) -> None:
        """Take back all that one shopper's events added."""
        events = list(events)
        self._batch.add(History(), events, [cause] * len(events))

    def messages(self) -> Iterator[CoVisits]:
        """What was gathered, one message a product unless that is too long; to be sent after what is added."""
        for added in self._batch.messages():
            yield replace(
                added,
                visit_weights=[-weight for weight in added.visit_weights],
                companion_strengths=[-strength for strength in added.companion_strengths],
                withdrawn=True,
            )
