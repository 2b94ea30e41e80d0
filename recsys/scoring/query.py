"""What a list is asked for: a shopper's recent interactions, what must not be in it, and how long it may be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from recsys.co_visits import ActionWeights
from recsys.histories import HistoryEvent
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
    latest: Iterable[HistoryEvent], rules: QueryRules, *, excluded: Iterable[str] = (), n: int = 20
) -> Query:
    """The query of a history, given latest event first.

    The weight of the r-th product from the latest is 1 / (1 + r), halved with every half-life that its latest
    event lies behind the latest of all, times what the strongest action with it says.
    """
    found: dict[str, tuple[int, float, bool]] = {}
    now_ms: int | None = None
    for event in latest:
        if now_ms is None:
            now_ms = event.event_time_ms
        weight = rules.weights.of(event.action, event.quantity)
        known = found.get(event.product_id)
        bought = event.action == Action.PURCHASE and event.quantity > 0
        if known is not None:
            found[event.product_id] = (known[0], max(known[1], weight), known[2] or bought)
        elif len(found) == rules.max_recent:
            break
        else:
            found[event.product_id] = (event.event_time_ms, weight, bought)
    weighed = [
        (
            product_id,
            max(weight, 0.0) * 2.0 ** ((at_ms - (now_ms or 0)) / rules.half_life_ms) / (1.0 + rank),
            bought,
        )
        for rank, (product_id, (at_ms, weight, bought)) in enumerate(found.items())
    ]
    total = sum(weight for _, weight, _ in weighed) or 1.0
    recent = tuple(Recent(product_id, weight / total, bought) for product_id, weight, bought in weighed)
    return Query(recent, frozenset(excluded), n)
