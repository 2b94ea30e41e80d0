"""What a batch of events adds to what all shoppers share: visits, pairs of visits, and visits by segment.

At any time a shopper has added what follows from the events that they are counted by: those of the history, net
of returns; none while they are quarantined. Events that leave a full history stay counted. Most events only add,
and are added at once. Where one changes how others count, what was added is taken back, and added as it is now.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain

from recsys.co_visits import Cause, CoVisitBatch, PairRules
from recsys.forgetting import Corrections
from recsys.histories import ADDED, History, HistoryEvent, HistoryRules
from recsys.quarantine import QuarantineRules
from recsys.returns import are_purchases_plain, net_of_returns
from recsys.segments import SegmentVisitBatch
from schemas.events import Action, CoVisits, SegmentVisits

ENTERED, LEFT = "entered", "left"
"""What becomes of a quarantine."""


class Contributions:
    """Adds a batch of events to histories and gathers what follows for all; a batch equals one by one."""

    def __init__(self, rules: PairRules, history_rules: HistoryRules, quarantine: QuarantineRules) -> None:
        self._history_rules = history_rules
        self._quarantine = quarantine
        self._pairs = CoVisitBatch(rules, history_rules)
        self._corrections = Corrections(rules)
        self._segments = SegmentVisitBatch(rules.weights)
        self.quarantines: Counter[str] = Counter()
        """How many quarantines were ``ENTERED`` and ``LEFT``."""

    def add(
        self, history: History, events: Sequence[HistoryEvent], causes: Sequence[Cause], segment: str
    ) -> list[str]:
        """Add events in this order; what became of each: ``ADDED``, ``DUPLICATE`` or ``EXPIRED``."""
        if self._quarantine.may_change(history, events):
            add = self._add_watched
        elif are_purchases_plain(history.quantities, events):
            return self._add_plain(history, events, causes, segment)
        else:
            add = self._add_corrected
        return [add(history, event, cause, segment) for event, cause in zip(events, causes, strict=True)]

    def take_back(self, history: History, cause: Cause, segment: str) -> None:
        """Take back all that a shopper added."""
        self._change(counted(history), (), cause, segment)

    def move(self, history: History, cause: Cause, before: str, segment: str) -> None:
        """Let a shopper's visits count for another segment."""
        events = counted(history)
        self._segments.take_back(before, events, cause)
        self._segments.add(segment, events, cause)

    def messages(self) -> Iterator[CoVisits | SegmentVisits]:
        """What was gathered; to be sent in this order."""
        corrections = self._corrections
        pairs = chain(corrections.counted(), self._pairs.messages(), corrections.withdrawn())
        return chain(pairs, self._segments.messages())

    def _add_plain(
        self, history: History, events: Sequence[HistoryEvent], causes: Sequence[Cause], segment: str
    ) -> list[str]:
        outcomes = self._pairs.add(history, events, causes)
        if segment:
            added = [place for place, outcome in enumerate(outcomes) if outcome == ADDED]
            if added:
                newest = max((causes[place] for place in added), key=_time_of)
                self._segments.add(segment, [events[place] for place in added], newest)
        return outcomes

    def _add_watched(self, history: History, event: HistoryEvent, cause: Cause, segment: str) -> str:
        """Add an event that may begin a quarantine, or comes in one, or ends it."""
        if not history.is_quarantined:
            # Nothing that only a burst adds is to be counted first, so look ahead.
            if not self._quarantine.is_inhuman(_times_with(history, event)):
                return self._add_one(history, event, cause, segment)
            before = counted(history)
            outcome = history.add(event, self._history_rules)
            if outcome == ADDED:
                history.is_quarantined = True
                self.quarantines[ENTERED] += 1
                self._change(before, (), cause, segment)
            return outcome
        outcome = history.add(event, self._history_rules)
        if outcome == ADDED and not self._quarantine.is_inhuman(_times_of(history)):
            history.is_quarantined = False
            self.quarantines[LEFT] += 1
            self._change((), counted(history), cause, segment)
        return outcome

    def _add_one(self, history: History, event: HistoryEvent, cause: Cause, segment: str) -> str:
        if are_purchases_plain(history.quantities, [event]):
            return self._add_plain(history, [event], [cause], segment)[0]
        return self._add_corrected(history, event, cause, segment)

    def _add_corrected(self, history: History, event: HistoryEvent, cause: Cause, segment: str) -> str:
        """Add an event that may be a return, or a purchase that others' returns take from."""
        if event.action != Action.PURCHASE:
            return self._add_plain(history, [event], [cause], segment)[0]
        before = _purchases(history)
        outcome = history.add(event, self._history_rules)
        if outcome == ADDED:
            after = _purchases(history)
            kept = [
                one for one in before if after and one >= after[0]
            ]  # those that left stay counted as they were
            self._change(net_of_returns(kept), net_of_returns(after), cause, segment)
        return outcome

    def _change(
        self, before: Sequence[HistoryEvent], after: Sequence[HistoryEvent], cause: Cause, segment: str
    ) -> None:
        """Let one shopper be counted by other events than before."""
        if before == after:
            return
        self._corrections.take_back(before, cause)
        self._corrections.count(after, cause)
        self._segments.take_back(segment, before, cause)
        self._segments.add(segment, after, cause)


def counted(history: History) -> list[HistoryEvent]:
    """The events of a history that its shopper is counted by."""
    return [] if history.is_quarantined else net_of_returns(history)


def _purchases(history: History) -> list[HistoryEvent]:
    """Purchases and returns, oldest first."""
    return [event for event in history if event.action == Action.PURCHASE]


def _times_of(history: History) -> list[int]:
    return [event.event_time_ms for event in history]


def _times_with(history: History, event: HistoryEvent) -> list[int]:
    return sorted([*_times_of(history), event.event_time_ms])


def _time_of(cause: Cause) -> int:
    return cause.timestamp_ms
