"""What is popular, and what is trending: more visited of late than its own past leads one to expect.

Two forward-decayed sums a product (``recsys.decay``) over the same visits, one that forgets slowly and one that
forgets fast. Held in arrays, so that a batch and a ranking are a few vector operations each.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.catalogue import Catalogue
from recsys.decay import Decay
from schemas.events import CoVisits, Kind, ListedProduct, TrendingState

Floats = NDArray[np.float64]

OVERALL = ""
"""Subject of the lists over the whole shop; products without a category are in no other."""

_NO_CATEGORY = -1
_FIRST_CAPACITY = 1_024
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
    baseline_prior: float = 1.0
    """Weight of visits that every product is taken to have had before any is known of."""


class Popularity:
    """Decayed weights of visits by product, and the rankings that follow for what may be recommended.

    With T a product's recent weight (short half-life), P its long-lived one and B = P - T what it had before
    (in the difference of the two kernels a visit counts nothing at first, then more, then less again), its
    expected recent weight is its own past share of what is visited now, E = sum(T) (B + prior) / sum(B + prior),
    where the last sum is over the whole catalogue. It trends by (T - E) / sqrt(E + 1), how far it stands out
    from chance, so a steady bestseller does not trend and neither does everything on a busy evening. All of it
    is as of the latest event.
    """

    def __init__(self, rules: PopularityRules, catalogue: Catalogue) -> None:
        self._rules = rules
        self._catalogue = catalogue
        self._slots: dict[str, int] = {}
        self._ids: list[str] = []
        self._free: list[int] = []
        self._codes: dict[str, int] = {}
        self._now_ms = 0
        self._popular: Floats = np.zeros(_FIRST_CAPACITY)
        self._trending: Floats = np.zeros(_FIRST_CAPACITY)
        self._latest_ms: NDArray[np.int64] = np.zeros(_FIRST_CAPACITY, np.int64)
        self._category: NDArray[np.int32] = np.full(_FIRST_CAPACITY, _NO_CATEGORY, np.int32)
        self._shown: NDArray[np.bool_] = np.zeros(_FIRST_CAPACITY, bool)

    def __len__(self) -> int:
        return len(self._slots)

    def __contains__(self, product_id: str) -> bool:
        return product_id in self._slots

    def __iter__(self) -> Iterator[str]:
        return iter(self._slots)

    def add(self, batch: Sequence[CoVisits]) -> list[str]:
        """Count the visits in a batch of messages; returns the products that were visited, each once."""
        batch = [co_visits for co_visits in batch if co_visits.visit_times_ms]
        if not batch:
            return []
        counts = [len(co_visits.visit_times_ms) for co_visits in batch]
        slots = np.repeat([self._slot(co_visits.product_id) for co_visits in batch], counts)
        times = np.array([at_ms for co_visits in batch for at_ms in co_visits.visit_times_ms], np.int64)
        weights = np.array([weight for co_visits in batch for weight in co_visits.visit_weights], np.float64)
        self._advance(int(times.max()))
        rules = self._rules
        for column, decay in ((self._popular, rules.popular), (self._trending, rules.trending)):
            np.add.at(column, slots, weights * decay.weights(times, decay.epoch_of(self._now_ms)))
        np.maximum.at(self._latest_ms, slots, times)
        return list(dict.fromkeys(co_visits.product_id for co_visits in batch))

    def is_empty(self, product_id: str) -> bool:
        """True where nothing is left of a product's visits but what rounding leaves: all were taken back."""
        slot = self._slots[product_id]
        decay = self._rules.popular
        visit = decay.weight(int(self._latest_ms[slot]), decay.epoch_of(self._now_ms))
        return abs(float(self._popular[slot])) <= _NOTHING * visit

    def categories(self) -> list[str]:
        """Every category that a product visited and recommendable was ever in."""
        return list(self._codes)

    def latest_ms(self, product_id: str) -> int:
        """Event time of a product's latest visit, 0 for an unknown product."""
        slot = self._slots.get(product_id)
        return 0 if slot is None else int(self._latest_ms[slot])

    def snapshot(self, product_id: str) -> TrendingState:
        """A product's weights, relative to the epochs of its own latest visit; ``KeyError`` for an unknown one."""
        slot = self._slots[product_id]
        latest_ms = int(self._latest_ms[slot])
        trending, popular = self._rules.trending, self._rules.popular
        return TrendingState(
            product_id=product_id,
            trending_epoch=(trending_epoch := trending.epoch_of(latest_ms)),
            trending=trending.rescale(
                float(self._trending[slot]), trending.epoch_of(self._now_ms), trending_epoch
            ),
            popular_epoch=(popular_epoch := popular.epoch_of(latest_ms)),
            popular=popular.rescale(float(self._popular[slot]), popular.epoch_of(self._now_ms), popular_epoch),
            event_time_ms=latest_ms,
        )

    def restore(self, state: TrendingState) -> None:
        """Put a product's weights as their snapshot has them.

        Raises ``ConfigurationError`` where they were kept with other half-lives.
        """
        self._rules.trending.require_epoch(state.trending_epoch, state.event_time_ms)
        self._rules.popular.require_epoch(state.popular_epoch, state.event_time_ms)
        self._advance(state.event_time_ms)
        slot = self._slot(state.product_id)
        trending, popular = self._rules.trending, self._rules.popular
        self._trending[slot] = trending.rescale(
            state.trending, state.trending_epoch, trending.epoch_of(self._now_ms)
        )
        self._popular[slot] = popular.rescale(state.popular, state.popular_epoch, popular.epoch_of(self._now_ms))
        self._latest_ms[slot] = state.event_time_ms

    def drop(self, product_id: str) -> bool:
        """Forget a product; False where nothing was known of it."""
        slot = self._slots.pop(product_id, None)
        if slot is None:
            return False
        self._ids[slot] = ""
        self._popular[slot] = self._trending[slot] = self._latest_ms[slot] = 0
        self._category[slot], self._shown[slot] = _NO_CATEGORY, False
        self._free.append(slot)
        return True

    def reclassify(self, product_id: str) -> None:
        """Take up what the catalogue says of a product now."""
        slot = self._slots.get(product_id)
        if slot is not None:
            self._classify(slot)

    def lists(self, subjects: Iterable[str]) -> Iterator[tuple[str, str, list[ListedProduct]]]:
        """(kind, subject, products) of the popular and trending lists of these categories or ``OVERALL``.

        The products stand best first; equal scores go to the smaller product_id.
        """
        popular, trending = self._scores()
        for subject in subjects:
            members = self._members(subject)
            for kind, scores in ((Kind.POPULAR, popular), (Kind.TRENDING, trending)):
                yield kind, subject, self._listed(members, scores[members], kind)

    def _advance(self, event_time_ms: int) -> None:
        """Let the latest event be of this time at least, and move all weights to its epochs."""
        if event_time_ms <= self._now_ms:
            return
        rules = self._rules
        for column, decay in ((self._popular, rules.popular), (self._trending, rules.trending)):
            before, after = decay.epoch_of(self._now_ms), decay.epoch_of(event_time_ms)
            if after > before:
                column *= decay.factor(before, after)
        self._now_ms = event_time_ms

    def _slot(self, product_id: str) -> int:
        """A product's place in the arrays, made where it has none."""
        slot = self._slots.get(product_id)
        if slot is not None:
            return slot
        if self._free:
            slot = self._free.pop()
            self._ids[slot] = product_id
        else:
            slot = len(self._ids)
            self._ids.append(product_id)
            if slot == len(self._popular):
                self._grow()
        self._slots[product_id] = slot
        self._classify(slot)
        return slot

    def _grow(self) -> None:
        size = len(self._popular)
        self._popular = np.concatenate([self._popular, np.zeros(size)])
        self._trending = np.concatenate([self._trending, np.zeros(size)])
        self._latest_ms = np.concatenate([self._latest_ms, np.zeros(size, np.int64)])
        self._category = np.concatenate([self._category, np.full(size, _NO_CATEGORY, np.int32)])
        self._shown = np.concatenate([self._shown, np.zeros(size, bool)])

    def _classify(self, slot: int) -> None:
        product_id = self._ids[slot]
        shown = self._catalogue.is_recommendable(product_id)
        category = self._catalogue.category_of(product_id)
        self._shown[slot] = shown
        self._category[slot] = (
            self._codes.setdefault(category, len(self._codes)) if shown and category else _NO_CATEGORY
        )

    def _members(self, subject: str) -> NDArray[np.intp]:
        """Slots of what may be listed for a subject."""
        used = len(self._ids)
        if subject == OVERALL:
            return np.flatnonzero(self._shown[:used])
        code = self._codes.get(subject)
        return np.flatnonzero(self._category[:used] == code) if code is not None else np.zeros(0, np.intp)

    def _scores(self) -> tuple[Floats, Floats]:
        """Scores by slot, float64 of shape (slots,), for popular and for trending; 0.0 or less is not listed."""
        used, now_ms, rules = len(self._ids), self._now_ms, self._rules
        shown = self._shown[:used]
        popular, trending = rules.popular, rules.trending
        long_lived = self._popular[:used] * popular.value_at(1.0, popular.epoch_of(now_ms), now_ms)
        recent = self._trending[:used] * trending.value_at(1.0, trending.epoch_of(now_ms), now_ms)
        np.maximum(long_lived, 0.0, out=long_lived)
        np.maximum(recent, 0.0, out=recent)
        prior = rules.baseline_prior + np.maximum(long_lived - recent, 0.0)
        unvisited = max(0, len(self._catalogue) - int(np.count_nonzero(shown)))
        total = float(prior.sum(where=shown)) + rules.baseline_prior * unvisited
        expected = prior * (float(recent.sum(where=shown)) / total if total > 0 else 0.0)
        standing_out = (recent - expected) / np.sqrt(expected + 1.0)
        standing_out[recent < rules.trending_floor] = 0.0
        return long_lived, standing_out

    def _listed(self, members: NDArray[np.intp], scores: Floats, kind: str) -> list[ListedProduct]:
        """The best of the members; ``scores`` go with them. The reason's name is the kind's."""
        n, ids = self._rules.list_length, self._ids
        places = np.flatnonzero(scores > 0.0)
        if len(places) > n:
            positive = scores[places]
            least = np.partition(positive, len(positive) - n)[len(positive) - n]
            above = places[positive > least].tolist()
            level = places[positive == least].tolist()
            best = above + heapq.nsmallest(n - len(above), level, key=lambda place: ids[members[place]])
        else:
            best = places.tolist()
        scored = sorted((-float(scores[place]), ids[members[place]]) for place in best)
        return [ListedProduct(product_id, -score, kind) for score, product_id in scored]
