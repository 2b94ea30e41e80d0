"""What is popular, and what is trending: more visited of late than its own past leads one to expect.

With everybody, by category, and by segment of users. Held in arrays (``recsys.visit_weights``), so that a batch
and a ranking are a few vector operations each.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from recsys.catalogue import Catalogue
from recsys.visit_weights import Floats, PopularityRules, VisitWeights
from schemas.events import CoVisits, Kind, ListedProduct, SegmentVisits, TrendingState

OVERALL = ""
"""Subject of the lists over the whole shop; products without a category are in no other."""

_NO_CATEGORY = -1
_FIRST_CAPACITY = 1_024


class Popularity:
    """Decayed weights of visits by product, and the rankings that follow for what may be recommended.

    All of it is as of the latest event. A category with the name of a segment has no list of its own. Memory: 16
    bytes a product and segment, besides what a product takes. A segment lasts for as long as there is a product
    that its users visited.
    """

    def __init__(self, rules: PopularityRules, catalogue: Catalogue) -> None:
        self._rules = rules
        self._catalogue = catalogue
        self._slots: dict[str, int] = {}
        self._ids: list[str] = []
        self._free: list[int] = []
        self._codes: dict[str, int] = {}
        self._now_ms = 0
        self._everybody = VisitWeights(rules, _FIRST_CAPACITY)
        self._segments: dict[str, VisitWeights] = {}
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
        counts = [len(co_visits.visit_times_ms) for co_visits in batch]
        product_ids = [co_visits.product_id for co_visits in batch]
        times = [at_ms for co_visits in batch for at_ms in co_visits.visit_times_ms]
        weights = [weight for co_visits in batch for weight in co_visits.visit_weights]
        self._count(self._everybody, product_ids, counts, times, weights)
        return list(dict.fromkeys(product_ids))

    def add_segment(self, visits: SegmentVisits) -> list[str] | None:
        """Count visits of a segment's users apart; returns the products, each once.

        None where there are as many other segments as are counted.
        """
        weights = self._segment(visits.segment)
        if weights is None:
            return None
        counts = [1] * len(visits.product_ids)
        self._count(weights, visits.product_ids, counts, visits.visit_times_ms, visits.visit_weights)
        for product_id in visits.withdrawn:
            slot = self._slots[product_id]
            if weights.is_empty(slot, self._latest_ms[slot], self._now_ms):
                weights.clear(slot)
        return list(dict.fromkeys(visits.product_ids))

    def _count(
        self,
        counted: VisitWeights,
        product_ids: Sequence[str],
        counts: Sequence[int],
        times_ms: Sequence[int],
        weights: Sequence[float],
    ) -> None:
        """Count visits, so many of each product one after the other."""
        if not times_ms:
            return
        slots = np.repeat([self._slot(product_id) for product_id in product_ids], counts)
        times = np.array(times_ms, np.int64)
        self._advance(int(times.max()))
        counted.add(slots, times, np.array(weights, np.float64), self._now_ms)
        np.maximum.at(self._latest_ms, slots, times)

    def segments(self) -> list[str]:
        """The segments of users that are counted apart."""
        return list(self._segments)

    def segments_of(self, product_id: str) -> list[str]:
        """The segments whose users visited a product."""
        slot = self._slots.get(product_id)
        if slot is None:
            return []
        return [name for name, weights in self._segments.items() if weights.popular[slot]]

    def is_empty(self, product_id: str) -> bool:
        """True where nothing is left of a product's visits but what rounding leaves: all were taken back."""
        slot = self._slots[product_id]
        return not self.segments_of(product_id) and self._everybody.is_empty(
            slot, self._latest_ms[slot], self._now_ms
        )

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
        latest_ms, now_ms = int(self._latest_ms[slot]), self._now_ms
        trending, popular = self._everybody.rescaled(slot, now_ms, latest_ms)
        segments = self.segments_of(product_id)
        apart = [self._segments[name].rescaled(slot, now_ms, latest_ms) for name in segments]
        return TrendingState(
            product_id=product_id,
            trending_epoch=self._rules.trending.epoch_of(latest_ms),
            trending=trending,
            popular_epoch=self._rules.popular.epoch_of(latest_ms),
            popular=popular,
            event_time_ms=latest_ms,
            segments=segments,
            segment_trending=[weight for weight, _ in apart],
            segment_popular=[weight for _, weight in apart],
        )

    def restore(self, state: TrendingState) -> None:
        """Put a product's weights as their snapshot has them.

        Raises ``ConfigurationError`` where they were kept with other half-lives.
        """
        latest_ms = state.event_time_ms
        self._rules.trending.require_epoch(state.trending_epoch, latest_ms)
        self._rules.popular.require_epoch(state.popular_epoch, latest_ms)
        self._advance(latest_ms)
        slot = self._slot(state.product_id)
        self._everybody.put(slot, state.trending, state.popular, latest_ms, self._now_ms)
        columns = (state.segments, state.segment_trending, state.segment_popular)
        for name, trending, popular in zip(*columns, strict=True):
            weights = self._segment(name)
            if weights is not None:
                weights.put(slot, trending, popular, latest_ms, self._now_ms)
        self._latest_ms[slot] = latest_ms

    def drop(self, product_id: str) -> bool:
        """Forget a product; False where nothing was known of it."""
        slot = self._slots.pop(product_id, None)
        if slot is None:
            return False
        self._ids[slot] = ""
        self._everybody.clear(slot)
        self._latest_ms[slot] = 0
        for name, weights in list(self._segments.items()):
            if weights.popular[slot]:
                weights.clear(slot)
                if not weights.popular.any():
                    del self._segments[name]
        self._category[slot], self._shown[slot] = _NO_CATEGORY, False
        self._free.append(slot)
        return True

    def reclassify(self, product_id: str) -> None:
        """Take up what the catalogue says of a product now."""
        slot = self._slots.get(product_id)
        if slot is not None:
            self._classify(slot)

    def lists(self, subjects: Iterable[str]) -> Iterator[tuple[str, str, list[ListedProduct]]]:
        """(kind, subject, products) of the popular and trending lists of categories, segments or ``OVERALL``.

        The products stand best first; equal scores go to the smaller product_id.
        """
        everybody = self._scores(self._everybody)
        for subject in subjects:
            segment = self._segments.get(subject)
            members = self._members(OVERALL if segment is not None else subject)
            scores = everybody if segment is None else self._scores(segment)
            for kind, of_kind in zip((Kind.POPULAR, Kind.TRENDING), scores, strict=True):
                yield kind, subject, self._listed(members, of_kind[members], kind)

    def _advance(self, event_time_ms: int) -> None:
        """Let the latest event be of this time at least, and move all weights to its epochs."""
        if event_time_ms > self._now_ms:
            for weights in (self._everybody, *self._segments.values()):
                weights.move(self._now_ms, event_time_ms)
            self._now_ms = event_time_ms

    def _segment(self, name: str) -> VisitWeights | None:
        """A segment's weights, made where there is room for one more."""
        weights = self._segments.get(name)
        if weights is None and len(self._segments) < self._rules.max_segments:
            weights = self._segments[name] = VisitWeights(self._rules, len(self._shown))
        return weights

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
            if slot == len(self._shown):
                self._grow()
        self._slots[product_id] = slot
        self._classify(slot)
        return slot

    def _grow(self) -> None:
        size = len(self._shown)
        for weights in (self._everybody, *self._segments.values()):
            weights.grow(2 * size)
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

    def _scores(self, weights: VisitWeights) -> tuple[Floats, Floats]:
        """Scores by slot, for popular and for trending."""
        return weights.scores(self._shown[: len(self._ids)], len(self._catalogue), self._now_ms)

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
