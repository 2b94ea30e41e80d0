"""What a list is asked for: a shopper's recent interactions, what must not be in it, and how long it may be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from recsys.co_visits import ActionWeights
from recsys.histories import EventRow
from schemas.events import Action


class Recent(NamedTuple):
    """A product of late, and how much it says about what comes next."""

    product_id: str
    weight: float
    bought: bool


@dataclass(frozen=True, slots=True)
class QueryRules:
    """How many products of late count, and how their weight falls with rank and with time."""

    max_recent: int = 20
    half_life_ms: int = 30 * 86_400_000
    weights: ActionWeights = field(default_factory=ActionWeights)


@dataclass(frozen=True, slots=True)
class Query:
    """``recent`` is latest first; weights add up to one."""

    recent: tuple[Recent, ...]
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
    found: dict[str, _Interest] = {}
    of, half_life_ms = rules.weights.of, rules.half_life_ms
    for at_ms, _, product_id, action, quantity in latest:
        interest = found.get(product_id)
        if interest is None:
            if len(found) == rules.max_recent:
                break
            interest = found[product_id] = _Interest(at_ms)
        if action == Action.PURCHASE:
            interest.units += quantity
        else:
            interest.weight = max(interest.weight, of(action, quantity))
    now_ms = next(iter(found.values())).at_ms if found else 0
    weights: list[float] = []
    for rank, interest in enumerate(found.values()):
        if interest.units > 0:
            interest.weight = max(interest.weight, of(Action.PURCHASE, interest.units))
        weights.append(interest.weight * 2.0 ** ((interest.at_ms - now_ms) / half_life_ms) / (1.0 + rank))
    total = sum(weights) or 1.0
    recent = tuple(
        Recent(product_id, weight / total, interest.units > 0)
        for (product_id, interest), weight in zip(found.items(), weights, strict=True)
    )
    return Query(recent, frozenset(excluded), n)


class _Interest:
    """What is gathered of one product."""

    __slots__ = ("at_ms", "units", "weight")

    def __init__(self, at_ms: int) -> None:
        self.at_ms = at_ms
        self.weight = 0.0
        self.units = 0.0
