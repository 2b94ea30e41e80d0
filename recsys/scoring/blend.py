"""Mixes scorers into lists: what may be recommended, best first, each product with its reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from recsys.keys import Keys, KeyTable, places_in_group, sums_by_group
from recsys.scoring.query import Numbers, Queries
from recsys.scoring.scorers import NOTHING, Scored, Scorer
from recsys.scoring.slots import Floats, ProductSlots
from schemas.errors import ConfigurationError
from schemas.events import ListedProduct, Reason

_MAX_QUERIES = 128
"""Queries that are worked on at once at most: what they lead to fits a core's cache."""
_MAX_KEYS = 4_000_000
"""Products times queries at once at most, if there is more than one query; 8 bytes each."""


class Blend:
    """A weighted sum of scorers, each of whose scores for a query are first made to add up to one.

    So a scorer that is sure of few products speaks for them louder than one that spreads over many, and no
    scorer's unit of measure matters. A pair of query and product is one number, the key: query * width + slot.
    """

    def __init__(self, slots: ProductSlots, scorers: Sequence[Scorer], weights: Mapping[str, float]) -> None:
        missing = [scorer.name for scorer in scorers if scorer.name not in weights]
        if missing:
            raise ConfigurationError(f"the blend has no weight for {', '.join(missing)}")
        self._slots = slots
        self._scorers = [scorer for scorer in scorers if weights[scorer.name] > 0.0]
        self._reasons = [_reasons(scorer) for scorer in self._scorers]
        self._weights = weights
        self._keys = KeyTable()

    @property
    def max_queries(self) -> int:
        """How many queries are best worked on at once: fewer where there are more products."""
        return max(1, min(_MAX_QUERIES, _MAX_KEYS // self._slots.capacity))

    def recommend(self, queries: Queries) -> list[list[ListedProduct]]:
        """For each query at most ``queries.n`` products, best first; ties go to the smaller id."""
        parts = [scorer.score(queries) for scorer in self._scorers]
        said = self._mixed(parts, len(queries))
        if not len(said.slots):
            return [[] for _ in range(len(queries))]
        keys = said.owners * self._slots.capacity + said.slots
        each, places = self._keys.number(keys)
        totals = sums_by_group(places, said.scores, len(each))
        totals *= self._listable(each, queries)
        best = self._best(each, totals, queries)
        strongest = self._strongest(keys, said.scores, each[best])
        by = np.searchsorted(np.cumsum([len(part.slots) for part in parts]), strongest, "right")
        owners, slots = np.divmod(each[best], self._slots.capacity)
        items = self._items(slots, totals[best], by, said.because[strongest], queries)
        bounds = np.searchsorted(owners, np.arange(len(queries) + 1)).tolist()
        return [items[start:end] for start, end in pairwise(bounds)]

    def _items(
        self, slots: Numbers, totals: Floats, by: Numbers, because: Numbers, queries: Queries
    ) -> list[ListedProduct]:
        """Products as they are listed; ``by`` are the scorers that say most for them."""
        ids, reasons = self._slots.ids, self._reasons
        # The last, -1, where there is none.
        product_ids, bought = [*queries.product_ids, ""], [*queries.bought, False]
        places = because.tolist()
        whys = [reasons[part][bought[place]] for part, place in zip(by.tolist(), places, strict=True)]
        listed = (ids[slot] for slot in slots.tolist())
        return list(map(ListedProduct, listed, totals.tolist(), whys, (product_ids[place] for place in places)))

    def _mixed(self, parts: Sequence[Scored], queries: int) -> Scored:
        """Everything that is said, weighed, scorer by scorer."""
        weighed = []
        for scorer, scored in zip(self._scorers, parts, strict=True):
            sums = sums_by_group(scored.owners, scored.scores, queries)
            # Nothing is said because of what was returned: its weight is zero.
            shares = np.divide(self._weights[scorer.name], sums, out=np.zeros_like(sums), where=sums > 0.0)
            weighed.append(scored._replace(scores=scored.scores * shares[scored.owners]))
        return Scored(*map(np.concatenate, zip(*weighed, strict=True))) if weighed else NOTHING

    def _listable(self, keys: Keys, queries: Queries) -> NDArray[np.bool_]:
        """Which of some products, each once, may be recommended, and are not excluded."""
        width = self._slots.capacity
        listable = self._slots.recommendable[keys % width]
        out = [
            number * width + slot
            for number, excluded in enumerate(queries.excluded)
            for product_id in excluded
            if (slot := self._slots.get(product_id)) is not None
        ]
        if out:
            found = self._keys.find(np.array(out), keys)
            listable[found[found >= 0]] = False
        return listable

    def _best(self, keys: Keys, totals: Floats, queries: Queries) -> Numbers:
        """Places of the best of each query, query by query, best first."""
        n, width = queries.n, self._slots.capacity
        owners = keys // width
        within = places_in_group(owners, len(queries))
        longest = int(within.max()) + 1
        least = np.zeros(len(queries))
        if longest > n:
            table = np.zeros((len(queries), longest))
            table[owners, within] = totals
            least = np.partition(table, longest - n, axis=1)[:, longest - n]
        (kept,) = ((totals > 0.0) & (totals >= least[owners])).nonzero()
        order = self._ordered(owners[kept], totals[kept], keys[kept] % width)
        kept = kept[order]
        kept_owners = owners[kept]
        return kept[places_in_group(kept_owners, len(queries)) < n]

    def _ordered(self, owners: Numbers, totals: Floats, slots: Numbers) -> Numbers:
        """The order of products: by query, best first; of equals the smaller id."""
        order = np.lexsort((-totals, owners))
        same = (np.diff(owners[order]) == 0) & (np.diff(totals[order]) == 0.0)
        if not same.any():
            return order
        (tied,) = (np.append(same, False) | np.append(False, same)).nonzero()
        tied = order[tied]
        ids = [self._slots.ids[slot] for slot in slots[tied].tolist()]
        ranks = np.zeros(len(owners), np.int64)
        ranks[tied[sorted(range(len(ids)), key=ids.__getitem__)]] = np.arange(len(ids))
        return np.lexsort((ranks, -totals, owners))

    def _strongest(self, keys: Keys, scores: Floats, wanted: Keys) -> Numbers:
        """Of everything that is said for each product, the place of what counts most; of equals the first."""
        found = self._keys.find(keys, wanted)
        (entries,) = (found >= 0).nonzero()
        found, scores = found[entries], scores[entries]
        most = np.full(len(wanted), -np.inf)
        np.maximum.at(most, found, scores)
        (first,) = (scores == most[found]).nonzero()
        first = first[::-1]
        strongest = np.empty(len(wanted), np.int64)
        # Where places repeat, the last value stays.
        strongest[found[first]] = entries[first]
        return strongest


def _reasons(scorer: Scorer) -> tuple[str, str]:
    """The reason because of a product that was not bought, and because of one that was."""
    bought = Reason.BECAUSE_BOUGHT if scorer.reason == Reason.BECAUSE_VIEWED else scorer.reason
    return scorer.reason, bought
