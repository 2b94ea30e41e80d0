"""Taking back what a shopper added to what all share, and counting them by other events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from recsys.co_visits import Cause, CoVisitBatch, PairRules
from recsys.histories import History, HistoryEvent, HistoryRules
from schemas.events import CoVisits

_EVERYTHING = HistoryRules(max_events=1 << 31, retention_ms=1 << 62)


class Unnamed(NamedTuple):
    """A request, such as to be forgotten, as a cause: outputs that it leads to do not say who asked."""

    timestamp_ms: int
    cause: str = "user-updated"


class Corrections:
    """Gathers events of which every visit and pair is to be taken back, or counted anew.

    What events added follows from the set of them alone (``recsys.co_visits``), so it is computed from what is
    kept by the very definition that it was added by, and sums come out as if the events had never been. Events
    that a history no longer holds cannot be taken back: what they added has no name to it, and decays.
    """

    def __init__(self, rules: PairRules) -> None:
        self._taken_back = CoVisitBatch(rules, _EVERYTHING)
        self._counted = CoVisitBatch(rules, _EVERYTHING)

    def take_back(self, events: Sequence[HistoryEvent], cause: Cause) -> None:
        """Take back all that one shopper's events added."""
        self._taken_back.add(History(), events, [cause] * len(events))

    def count(self, events: Sequence[HistoryEvent], cause: Cause) -> None:
        """Count one shopper's events, and pairs of them alone."""
        self._counted.add(History(), events, [cause] * len(events))

    def counted(self) -> Iterator[CoVisits]:
        """What is counted, one message a product unless that is too long; to be sent before all that is added."""
        return self._counted.messages()

    def withdrawn(self) -> Iterator[CoVisits]:
        """What is taken back; to be sent after all that is added."""
        for added in self._taken_back.messages():
            yield replace(
                added,
                visit_weights=[-weight for weight in added.visit_weights],
                companion_strengths=[-strength for strength in added.companion_strengths],
                withdrawn=True,
            )
