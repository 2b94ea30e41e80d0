"""What each scorer counts in the blend, learnt from what shoppers do next.

The blend is a mixture: with w the weights and p_s(i) the share of what scorer s says that speaks for product i, it
ranks by Σ w_s p_s(i). Each event that is judged first scores the blend by the product i that came next, then
teaches: the exponentiated gradient of the mixture's log-likelihood (Kivinen and Warmuth, "Exponentiated Gradient
versus Gradient Descent for Linear Predictors", Information and Computation 1997),

    log w_s = log w⁰_s + rate Σ (r_s - e_s),    r_s = w_s p_s(i) / Σ w p(i),    e_s = w_s / Σ w

over those scorers that said anything; r is a scorer's part in the prediction, e its part of the blend. What nobody
foresaw teaches nothing. The sum forgets by event time (``recsys.decay``), so it does not depend on the order of
arrival but for the weights in force, partitions' sums add up, and weights go back to those configured, w⁰, where
nothing speaks against them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recsys.decay import Decay
from recsys.scoring.verdicts import Verdicts
from schemas.events import BlendState

Floats = NDArray[np.float64]


class Knowledge:
    """How much is known of a shopper."""

    NEW = "new"
    FEW = "few"
    LONG = "long"
    ALL = (NEW, FEW, LONG)


class Group(NamedTuple):
    """Shoppers for whom weights are learnt together; the segment of everybody is empty."""

    knowledge: str
    segment: str = ""


@dataclass(frozen=True, slots=True)
class LearningRules:
    """How fast weights follow, and how far."""

    rate: float = 0.01
    decay: Decay = field(default_factory=lambda: Decay(30 * 86_400_000))
    floor: float = 0.25
    """Least weight of a scorer, as a share of what is configured."""
    ceiling: float = 4.0
    """Greatest, likewise."""
    few_events: int = 3
    """Events up to which little is known of a shopper."""

    def knowledge(self, events: int) -> str:
        """How much so many events say of a shopper."""
        if events == 0:
            return Knowledge.NEW
        return Knowledge.FEW if events <= self.few_events else Knowledge.LONG


class Lesson(NamedTuple):
    """What one event taught."""

    partition: int
    group: Group
    event_time_ms: int
    gains: Floats
    credits: Floats


class _Sums:
    """What one partition's shoppers of a group taught, relative to the epoch of its latest event."""

    __slots__ = ("credits", "epoch", "events", "gains", "latest_ms")

    def __init__(self, scorers: int) -> None:
        self.gains: Floats = np.zeros(scorers)
        self.credits: Floats = np.zeros(scorers)
        self.events = 0.0
        self.epoch = 0
        self.latest_ms = 0

    def add(self, lesson: Lesson, decay: Decay) -> None:
        epoch = max(self.epoch, decay.epoch_of(lesson.event_time_ms))
        if epoch > self.epoch:
            factor = decay.factor(self.epoch, epoch)
            self.gains *= factor
            self.credits *= factor
            self.events *= factor
            self.epoch = epoch
        weight = decay.weight(lesson.event_time_ms, epoch)
        self.gains += weight * lesson.gains
        self.credits += weight * lesson.credits
        self.events += weight
        self.latest_ms = max(self.latest_ms, lesson.event_time_ms)


class GroupReport(NamedTuple):
    """A group's weights, for people."""

    group: Group
    events: float
    """Decayed number of events that taught."""
    weights: Mapping[str, float]
    credits: Mapping[str, float]
    """Share of each scorer in predicting what came next."""


class OnlineWeights:
    """The weights in force, by group: those of everybody, and what sets the segment apart.

    What partitions of other processes taught is followed as a table; what those of this process taught is as of
    the last event. Asking changes nothing.
    """

    def __init__(self, configured: Mapping[str, float], rules: LearningRules) -> None:
        self._names = list(configured)
        self._places = {name: place for place, name in enumerate(self._names)}
        self._configured: Floats = np.array(list(configured.values()), np.float64)
        self._rules = rules
        self._own: dict[int, dict[Group, _Sums]] = {}
        self._followed: dict[int, dict[Group, _Sums]] = {}
        self._in_force: dict[Group, Floats] = {}

    def of(self, groups: Sequence[Group]) -> Floats:
        """The weights of groups, shape (groups, scorers)."""
        rows = [self._row(group) for group in groups]
        return np.array(rows).reshape(len(rows), len(self._names))

    def lessons(
        self, verdicts: Verdicts, partitions: Sequence[int], groups: Sequence[Group], times_ms: Sequence[int]
    ) -> list[Lesson]:
        """What events teach, judged by the weights in force: nothing where nobody foresaw the product."""
        in_force = self.of(groups)
        weights = np.where(verdicts.spoke, in_force, 0.0)
        parts = weights * verdicts.shares
        foreseen, said = parts.sum(axis=1, keepdims=True), weights.sum(axis=1, keepdims=True)
        found = (foreseen[:, 0] > 0.0).nonzero()[0].tolist()
        credit = np.divide(parts, foreseen, out=np.zeros_like(parts), where=foreseen > 0.0)
        gains = credit - np.divide(weights, said, out=np.zeros_like(weights), where=said > 0.0)
        # At a bound nothing is learnt that would have to be unlearnt before the weight moves again.
        moved = in_force / self._configured
        gains[((moved <= self._rules.floor) & (gains < 0)) | ((moved >= self._rules.ceiling) & (gains > 0))] = 0.0
        return [Lesson(partitions[n], groups[n], times_ms[n], gains[n], credit[n]) for n in found]

    def learn(self, lessons: Iterable[Lesson]) -> list[tuple[int, Group]]:
        """Take lessons, each for everybody and for the segment; what changed, each once."""
        changed: dict[tuple[int, Group], None] = {}
        for lesson in lessons:
            for group in {Group(lesson.group.knowledge), lesson.group}:
                sums = self._own.setdefault(lesson.partition, {}).setdefault(group, _Sums(len(self._names)))
                sums.add(lesson, self._rules.decay)
                changed[lesson.partition, group] = None
        if changed:
            self._in_force.clear()
        return sorted(changed)

    def snapshot(self, partition: int, group: Group) -> BlendState:
        """What a partition's shoppers of a group taught; ``KeyError`` where they taught nothing here."""
        sums = self._own[partition][group]
        gains, shares = sums.gains.tolist(), sums.credits.tolist()
        return BlendState(partition, *group, sums.epoch, sums.events, self._names, gains, shares, sums.latest_ms)

    def restore(self, state: BlendState) -> None:
        """Take back what a partition of this process taught."""
        self._put(self._own, state)

    def follow(self, state: BlendState) -> None:
        """Take what any partition taught as its owner published it."""
        self._put(self._followed, state)

    def revoke(self, partition: int) -> None:
        """A partition is another process's from now on, or is about to be restored."""
        self._own.pop(partition, None)
        self._in_force.clear()

    def report(self) -> list[GroupReport]:
        """All groups that anything was learnt of, and everybody."""
        groups = {Group(knowledge) for knowledge in Knowledge.ALL}
        groups.update(group for sums in self._by_partition().values() for group in sums)
        return [self._report(group) for group in sorted(groups)]

    def _report(self, group: Group) -> GroupReport:
        events, _, credit = self._total(group)
        shares = (credit / events if events else credit).tolist()
        weights = self._row(group).tolist()
        return GroupReport(
            group,
            events,
            dict(zip(self._names, weights, strict=True)),
            dict(zip(self._names, shares, strict=True)),
        )

    def _row(self, group: Group) -> Floats:
        row = self._in_force.get(group)
        if row is None:
            row = self._in_force[group] = self._weights(group)
        return row

    def _weights(self, group: Group) -> Floats:
        gains = self._total(Group(group.knowledge))[1]
        if group.segment:
            gains = gains + self._total(group)[1]
        rules = self._rules
        moved: Floats = np.clip(np.exp(rules.rate * gains), rules.floor, rules.ceiling)
        return self._configured * moved

    def _total(self, group: Group) -> tuple[float, Floats, Floats]:
        """Events, gains and credits of a group as of the latest event, from all partitions in their order."""
        by_partition = self._by_partition()
        now_ms = max((sums.latest_ms for groups in by_partition.values() for sums in groups.values()), default=0)
        events, gains, credit = 0.0, np.zeros(len(self._names)), np.zeros(len(self._names))
        for _, groups in sorted(by_partition.items()):
            sums = groups.get(group)
            if sums is not None:
                share = self._rules.decay.value_at(1.0, sums.epoch, now_ms)
                events += share * sums.events
                gains += share * sums.gains
                credit += share * sums.credits
        return events, gains, credit

    def _by_partition(self) -> dict[int, dict[Group, _Sums]]:
        return self._followed | self._own

    def _put(self, there: dict[int, dict[Group, _Sums]], state: BlendState) -> None:
        """Scorers that are none any more are left out; new ones have taught nothing."""
        self._rules.decay.require_epoch(state.epoch, state.event_time_ms)
        sums = _Sums(len(self._names))
        sums.epoch, sums.events, sums.latest_ms = state.epoch, state.events, state.event_time_ms
        for name, gain, credit in zip(state.scorers, state.gains, state.credits, strict=True):
            place = self._places.get(name)
            if place is not None:
                sums.gains[place], sums.credits[place] = gain, credit
        there.setdefault(state.partition, {})[Group(state.knowledge, state.segment)] = sums
        self._in_force.clear()
