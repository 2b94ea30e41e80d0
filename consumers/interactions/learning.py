"""Judges scorers by a sample of what shoppers do, and lets the weights of the blend learn from it."""

from __future__ import annotations

from collections.abc import Sequence

from consumers.interactions.settings import LearningSettings
from consumers.runtime.outbox import Outbox
from recsys.evaluation.live import rank_class
from recsys.for_you import ForYou, NextEvent
from recsys.histories import History, HistoryEvent
from recsys.scoring.verdicts import Verdicts
from recsys.scoring.weights import Group

_HASHES = 1 << 64


class Learning:
    """Gathers a batch's sample; the hashes of events choose it, so that it is the same however often it is read.

    A product that may not be listed could not be foreseen, and says nothing.
    """

    def __init__(self, for_you: ForYou, settings: LearningSettings) -> None:
        self._for_you = for_you
        self._frozen = settings.frozen
        self._below = round(settings.share * _HASHES) - (_HASHES >> 1)
        self._sample: list[tuple[int, NextEvent]] = []

    def begin(self) -> None:
        """Begin a batch; what was taken of one that came to nothing is dropped."""
        self._sample.clear()

    def see(self, partition: int, subject: str, history: History, events: Sequence[HistoryEvent]) -> None:
        """Take events that were added to a history."""
        for event in events:
            if event.event_hash < self._below and self._for_you.is_recommendable(event.product_id):
                self._sample.append((partition, NextEvent(subject, history, event)))

    def learn(self, out: Outbox) -> None:
        """Judge scorers by the sample, publish what weights learnt from it, and count."""
        at_once = self._for_you.max_queries
        for start in range(0, len(self._sample), at_once):
            some = self._sample[start : start + at_once]
            groups, verdicts = self._for_you.judge([event for _, event in some])
            self._count(groups, verdicts, out)
            if not self._frozen:
                weights = self._for_you.weights
                partitions = [partition for partition, _ in some]
                times = [of.event.event_time_ms for _, of in some]
                for partition, group in weights.learn(weights.lessons(verdicts, partitions, groups, times)):
                    out.publish(weights.snapshot(partition, group), partition=partition)

    def _count(self, groups: Sequence[Group], verdicts: Verdicts, out: Outbox) -> None:
        names = self._for_you.scorers
        for group, ranks in zip(groups, verdicts.ranks.tolist(), strict=True):
            for name, rank in zip(names, ranks, strict=True):
                out.observe("scorer_hits", name, group.segment, rank_class(rank))
                if rank:
                    out.observe("scorer_reciprocal_ranks", name, group.segment, amount=1 / rank)
