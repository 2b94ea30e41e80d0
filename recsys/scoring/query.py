"""What lists are asked for: shoppers' recent interactions, what must not be in a list, and how long it may be."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from recsys.co_visits import ActionWeights
from recsys.grouping import sums_by_group
from recsys.histories import EventRow
from recsys.scoring.slots import Floats, ProductSlots, Slots
from schemas.events import Action

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class QueryRules:
    """How many products of late count, and how their weight falls with rank and with time."""

    max_recent: int = 20
    half_life_ms: int = 30 * 86_400_000
    weights: ActionWeights = field(default_factory=ActionWeights)


@dataclass(frozen=True, slots=True, eq=False)
class Queries:
    """Some shoppers' products of late; one position in the columns is one product of one query, latest first.

    ``owners`` say whose it is (int64, ascending). ``weights`` say how much a product says about what comes next;
    a query's add up to one (float64). ``excluded`` is one collection of products a query; ``subjects`` are who
    asks, empty for nobody in particular; ``segments`` are the segments of users that they are in, empty for none,
    and without any where nobody is in one; ``profiles`` what is known of them, likewise.
    """

    product_ids: Sequence[str]
    owners: Numbers
    weights: Floats
    bought: Sequence[bool]
    excluded: Sequence[Collection[str]]
    subjects: Sequence[str]
    n: int = 20
    segments: Sequence[str] = ()
    profiles: Sequence[Mapping[str, str]] = ()
    _numbers: list[Slots] = field(default_factory=list, repr=False)

    def __len__(self) -> int:
        return len(self.excluded)

    def numbers(self, slots: ProductSlots) -> Slots:
        """The products' numbers, int32, -1 where they have none; looked up once for all scorers."""
        if not self._numbers:
            self._numbers.append(slots.numbers(self.product_ids))
        return self._numbers[0]


def make_queries(
    latest: Iterable[Iterable[EventRow]],
    rules: QueryRules,
    *,
    excluded: Sequence[Collection[str]],
    subjects: Sequence[str],
    n: int = 20,
    segments: Sequence[str] = (),
    profiles: Sequence[Mapping[str, str]] = (),
) -> Queries:
    """The queries of histories, each given latest event first.

    The weight of the r-th product from the latest is 1 / r, halved with every half-life that its latest
    event lies behind the latest of all, times what the strongest action with it says. All purchases of a product
    count as one of what is left of them after returns.
    """
    product_ids: list[str] = []
    strengths: list[float] = []
    times: list[int] = []
    bought: list[bool] = []
    lengths: list[int] = []
    for events in latest:
        found, units = _take(events, rules, times)
        product_ids += found
        strengths += found.values()
        lengths.append(len(found))
        bought += [units.get(product_id, 0.0) > 0 for product_id in found] if units else [False] * len(found)
    owners = np.repeat(np.arange(len(lengths)), lengths)
    starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
    weights = np.array(strengths) / (np.arange(1, len(owners) + 1) - starts)
    ages_ms = np.array(times, np.int64)
    ages_ms = ages_ms[starts] - ages_ms
    weights *= np.exp2(-ages_ms / rules.half_life_ms)
    sums = sums_by_group(owners, weights, len(lengths))[owners]
    np.divide(weights, sums, out=weights, where=sums > 0.0)
    return Queries(product_ids, owners, weights, bought, excluded, subjects, n, segments, profiles)


def _take(
    events: Iterable[EventRow], rules: QueryRules, times: list[int]
) -> tuple[dict[str, float], dict[str, float]]:
    """What the strongest action with each product of late says, and units bought; adds to ``times``."""
    found: dict[str, float] = {}
    units: dict[str, float] = {}
    once, of = rules.weights.once, rules.weights.of
    for at_ms, _, product_id, action, quantity in events:
        if product_id not in found:
            if quantity < 0.0:  # a return is no interest
                units[product_id] = units.get(product_id, 0.0) + quantity
                continue
            if len(found) == rules.max_recent:
                break
            found[product_id] = 0.0
            times.append(at_ms)
        if action == Action.PURCHASE:
            units[product_id] = units.get(product_id, 0.0) + quantity
        else:
            weight = once[action] if quantity == 1.0 else of(action, quantity)
            if weight > found[product_id]:
                found[product_id] = weight
    for product_id, left in units.items():
        if left > 0:
            found[product_id] = max(found[product_id], of(Action.PURCHASE, left))
    return found, units
