"""Mixes scorers into lists: what may be recommended, best first, each product with its reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise

import numpy as np

from recsys.scoring.query import Numbers, Queries
from recsys.scoring.ranking import Best, Candidates, Said, best, room
from recsys.scoring.scorers import Scored, Scorer
from recsys.scoring.slots import Floats, ProductSlots
from recsys.scoring.verdicts import Verdicts, judge
from schemas.errors import ConfigurationError
from schemas.events import ListedProduct, Reason

_MAX_QUERIES = 128
"""Queries that are worked on at once at most: what they lead to fits a core's cache."""
_MAX_SCORES = 4_000_000
"""Products times queries at once at most, if there is more than one query; 4 bytes each."""


class Blend:
    """A weighted sum of scorers, each of whose scores for a query are first made to add up to one.

    So a scorer that is sure of few products speaks for them louder than one that spreads over many, and no
    scorer's unit of measure matters.
    """

    def __init__(self, slots: ProductSlots, scorers: Sequence[Scorer], weights: Mapping[str, float]) -> None:
        missing = [scorer.name for scorer in scorers if scorer.name not in weights]
        if missing:
            raise ConfigurationError(f"the blend has no weight for {', '.join(missing)}")
        self._slots = slots
        self._scorers = [scorer for scorer in scorers if weights[scorer.name] > 0.0]
        self._reasons = [_reasons(scorer) for scorer in self._scorers]
        self._weights = np.array([weights[scorer.name] for scorer in self._scorers])
        self._room = room(0)

    @property
    def max_queries(self) -> int:
        """How many queries are best worked on at once: fewer where there are more products."""
        return max(1, min(_MAX_QUERIES, _MAX_SCORES // self._slots.capacity))

    def recommend(self, queries: Queries, weights: Floats | None = None) -> list[list[ListedProduct]]:
        """For each query at most ``queries.n`` products, best first; ties go by a hash of the id.

        ``weights``, shape (queries, scorers), are other weights than the blend's own, query by query; the scorers
        are those of ``names``.
        """
        if not self._scorers:
            return [[] for _ in range(len(queries))]
        parts = [scorer.score(queries) for scorer in self._scorers]
        said = self._said(parts, queries, weights)
        self._make_room()
        found = best(said, self._candidates(queries), queries.n, self._room)
        sizes = np.cumsum([len(part.slots) for part in parts])
        by = np.searchsorted(sizes, found.strongest, "right")
        because = np.concatenate([part.because for part in parts])[found.strongest]
        items = self._items(found, by, because, queries)
        return [items[start:end] for start, end in pairwise(accumulate(found.counts.tolist(), initial=0))]

    def judge(self, queries: Queries, product_ids: Sequence[str]) -> Verdicts:
        """What each of ``names`` said of the product that came next in each query."""
        parts = [scorer.score(queries) for scorer in self._scorers]
        self._make_room()
        targets = self._slots.numbers(product_ids)
        return judge(self._said(parts, queries, None), targets, self._slots.recommendable, self._room)

    @property
    def weights(self) -> dict[str, float]:
        """The blend's own weights, by scorer."""
        return dict(zip(self.names, self._weights.tolist(), strict=True))

    @property
    def names(self) -> list[str]:
        """The scorers that there are, in the order of weights."""
        return [scorer.name for scorer in self._scorers]

    def _make_room(self) -> None:
        if len(self._room.totals) < self._slots.capacity:
            self._room = room(self._slots.capacity)

    def _said(self, parts: Sequence[Scored], queries: Queries, weights: Floats | None) -> Said:
        number = np.arange(len(queries) + 1)
        sizes = accumulate((len(part.slots) for part in parts), initial=0)
        starts = [np.searchsorted(part.owners, number) + begin for part, begin in zip(parts, sizes, strict=False)]
        slots, scores = (
            np.concatenate([part.slots for part in parts]),
            np.concatenate([part.scores for part in parts]),
        )
        if weights is None:
            weights = np.tile(self._weights, (len(queries), 1))
        return Said(np.array(starts, np.int64), slots, scores, weights)

    def _candidates(self, queries: Queries) -> Candidates:
        get = self._slots.get
        excluded = [[slot for each in ids if (slot := get(each)) is not None] for ids in queries.excluded]
        starts = np.cumsum([0, *map(len, excluded)])
        flat = np.array([slot for some in excluded for slot in some], np.int32)
        return Candidates(self._slots.recommendable, self._slots.ties, starts, flat)

    def _items(self, found: Best, by: Numbers, because: Numbers, queries: Queries) -> list[ListedProduct]:
        """Products as they are listed; ``by`` are the scorers that say most for them."""
        ids, reasons = self._slots.ids, self._reasons
        # The last, -1, where there is none.
        product_ids, bought = [*queries.product_ids, ""], [*queries.bought, False]
        places = because.tolist()
        whys = [reasons[part][bought[place]] for part, place in zip(by.tolist(), places, strict=True)]
        listed = (ids[slot] for slot in found.slots.tolist())
        return list(
            map(ListedProduct, listed, found.totals.tolist(), whys, (product_ids[place] for place in places))
        )


def _reasons(scorer: Scorer) -> tuple[str, str]:
    """The reason because of a product that was not bought, and because of one that was."""
    bought = Reason.BECAUSE_BOUGHT if scorer.reason == Reason.BECAUSE_VIEWED else scorer.reason
    return scorer.reason, bought
