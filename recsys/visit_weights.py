"""Decayed weights of visits by product, as columns, and what stands out in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.decay import Decay

Floats = NDArray[np.float64]

_NOTHING = 1e-9
"""Latest visits of a product that count as none."""


@dataclass(frozen=True, slots=True)
class PopularityRules:
    """How visits are forgotten, and what it takes to trend."""

    popular: Decay
    trending: Decay
    list_length: int = 20
    trending_floor: float = 8.0
    """Least decayed weight of recent visits of a product that trends, so that a visit or two do not."""
    significance: float = 2.0
    """Least number of standard deviations that a product which trends stands above what is expected."""
    baseline_prior: float = 1.0
    """Weight of visits that every product is taken to have had before any is known of."""
    max_segments: int = 20
    """Segments of users that are counted apart, those that were seen first."""


class VisitWeights:
    """Two forward-decayed sums a slot over the same visits, relative to the epochs of one latest event.

    With T a product's recent weight (short half-life), P its long-lived one and B = P - T what it had before
    (in the difference of the two kernels a visit counts nothing at first, then more, then less again), its
    expected recent weight is its own past share of what is visited now, E = sum(T) (B + prior) / sum(B + prior),
    where the last sum is over the whole catalogue. It trends by (T - E) / sqrt(E + 1), how far it stands out
    from chance, so a steady bestseller does not trend and neither does everything on a busy evening.
    """

    def __init__(self, rules: PopularityRules, capacity: int) -> None:
        self._rules = rules
        self.popular: Floats = np.zeros(capacity)
        self.trending: Floats = np.zeros(capacity)

    def add(self, slots: NDArray[np.int64], times_ms: NDArray[np.int64], weights: Floats, now_ms: int) -> None:
        """Count visits; none is later than ``now_ms``, whose epochs the sums are relative to."""
        for column, decay in self._columns():
            np.add.at(column, slots, weights * decay.weights(times_ms, decay.epoch_of(now_ms)))

    def move(self, before_ms: int, after_ms: int) -> None:
        """Make all sums relative to the epochs of a later time."""
        for column, decay in self._columns():
            before, after = decay.epoch_of(before_ms), decay.epoch_of(after_ms)
            if after > before:
                column *= decay.factor(before, after)

    def grow(self, capacity: int) -> None:
        """Have room for so many slots."""
        more = np.zeros(capacity - len(self.popular))
        self.popular = np.concatenate([self.popular, more])
        self.trending = np.concatenate([self.trending, more])

    def clear(self, slot: int) -> None:
        """Forget a slot's visits."""
        self.popular[slot] = self.trending[slot] = 0.0

    def is_empty(self, slot: int, latest_ms: int, now_ms: int) -> bool:
        """True where nothing is left of a slot's visits, the latest of this time, but what rounding leaves."""
        decay = self._rules.popular
        return abs(float(self.popular[slot])) <= _NOTHING * decay.weight(int(latest_ms), decay.epoch_of(now_ms))

    def rescaled(self, slot: int, from_ms: int, to_ms: int) -> tuple[float, float]:
        """A slot's trending and popular sums, relative to the epochs of another time."""
        popular, trending = self._rules.popular, self._rules.trending
        return (
            trending.rescale(float(self.trending[slot]), trending.epoch_of(from_ms), trending.epoch_of(to_ms)),
            popular.rescale(float(self.popular[slot]), popular.epoch_of(from_ms), popular.epoch_of(to_ms)),
        )

    def put(self, slot: int, trending: float, popular: float, from_ms: int, to_ms: int) -> None:
        """Take sums back that are relative to the epochs of ``from_ms``; those here are to ``to_ms``'s."""
        self.trending[slot], self.popular[slot] = trending, popular
        self.trending[slot], self.popular[slot] = self.rescaled(slot, from_ms, to_ms)

    def scores(self, shown: NDArray[np.bool_], products: int, now_ms: int) -> tuple[Floats, Floats]:
        """Scores by slot for popular and for trending, float64, as long as ``shown``; at most 0.0 is not listed.

        ``shown`` says which slots may be listed, ``products`` how many products the whole catalogue has.
        """
        used, rules = len(shown), self._rules
        popular, trending = rules.popular, rules.trending
        long_lived = self.popular[:used] * popular.value_at(1.0, popular.epoch_of(now_ms), now_ms)
        recent = self.trending[:used] * trending.value_at(1.0, trending.epoch_of(now_ms), now_ms)
        np.maximum(long_lived, 0.0, out=long_lived)
        np.maximum(recent, 0.0, out=recent)
        prior = rules.baseline_prior + np.maximum(long_lived - recent, 0.0)
        unvisited = max(0, products - int(np.count_nonzero(shown)))
        total = float(prior.sum(where=shown)) + rules.baseline_prior * unvisited
        expected = prior * (float(recent.sum(where=shown)) / total if total > 0 else 0.0)
        standing_out = (recent - expected) / np.sqrt(expected + 1.0)
        standing_out[(recent < rules.trending_floor) | (standing_out < rules.significance)] = 0.0
        return long_lived, standing_out

    def _columns(self) -> Iterator[tuple[Floats, Decay]]:
        yield self.popular, self._rules.popular
        yield self.trending, self._rules.trending
