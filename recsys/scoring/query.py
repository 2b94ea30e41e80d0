"""What a list is asked for: a shopper's recent interactions, what must not be in it, and how long it may be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from recsys.co_visits import ActionWeights
from recsys.histories import EventRow
from recsys.scoring.slots import Floats
from schemas.events import Action


@dataclass(frozen=True, slots=True)
class QueryRules:
    """How many products of late count, and how their weight falls with rank and with time."""

    max_recent: int = 20
    half_life_ms: int = 30 * 86_400_000
    weights: ActionWeights = field(default_factory=ActionWeights)


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """Products of late, latest first; one position in ``product_ids``, ``weights`` and ``bought`` is one of them.

    ``weights`` say how much a product says about what comes next, and add up to one (float64, shape (products,)).
    """

    product_ids: Sequence[str]
    weights: Floats
    bought: Sequence[bool]
    excluded: frozenset[str] = frozenset()
    n: int = 20


def make_query(
    latest: Iterable[EventRow], rules: QueryRules, *, excluded: Iterable[str] = (), n: int = 20
) -> Query:
    """The query of a history, given latest event first.

    The weight of the r-th product from the latest is 1 / (1 + r), halved with every half-life that its latest
    event lies behind the latest of all, times what the strongest action with it says. All purchases of a product
    count as one of what is left of them after returns.
    """
    found: dict[str, float] = {}
    times: list[int] = []
    units: dict[str, float] = {}
    once, of = rules.weights.once, rules.weights.of
    for at_ms, _, product_id, action, quantity in latest:
        if product_id not in found:
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
    weights = np.array(list(found.values())) / np.arange(1, len(found) + 1)
    if times and times[0] != times[-1]:
        weights *= np.exp2((np.array(times) - times[0]) / rules.half_life_ms)
    weights /= weights.sum() or 1.0
    bought = [units.get(product_id, 0.0) > 0 for product_id in found] if units else [False] * len(found)
    return Query(list(found), weights, bought, frozenset(excluded), n)
