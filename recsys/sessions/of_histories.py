"""Histories as sessions: each product once, with the time of the latest visit and what the visits amount to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from recsys.co_visits import ActionWeights
from recsys.sessions.bought_units import BoughtUnits
from recsys.sessions.exchanging import Numbers
from recsys.sessions.index import Sessions
from schemas.events import Action, UserHistory


def sessions_of(
    histories: Mapping[str, UserHistory | None],
    assign: Callable[[Sequence[str]], Numbers],
    weights: ActionWeights | None = None,
    bought: BoughtUnits | None = None,
) -> Sessions:
    """Histories by subject, None for one that is no more; ``assign`` numbers products.

    A shopper in quarantine has visited nothing. A product that was returned as a whole, and not visited otherwise,
    is left out, and a return is no visit. Without ``weights`` every product counts one; with them as much as the
    strongest action with it, all purchases together as one. That one counts once more with each doubling of the
    units. With ``bought``, which learns from the histories first, it counts once more at the most units that a
    shopper has of the product, and nothing more at the least.
    """
    if bought is not None:
        for subject, history in histories.items():
            bought.put(subject, {} if history is None or history.is_quarantined else bought_units(history))
    product_ids: list[str] = []
    times_ms: list[int] = []
    strengths: list[float] = []
    counts = []
    for history in histories.values():
        visits: Mapping[str, int] = {}
        if history is not None and not history.is_quarantined:
            visits = dict(zip(history.product_ids, history.event_times_ms, strict=True))
            has_returns = min(history.quantities, default=1.0) < 0.0
            if has_returns:
                columns = zip(history.product_ids, history.event_times_ms, history.quantities, strict=True)
                visits = {product_id: at_ms for product_id, at_ms, quantity in columns if quantity > 0.0}
            if weights is not None or has_returns:
                amounts = _amounts(history, weights or ActionWeights(), bought)
                visits = {product_id: visits[product_id] for product_id in amounts}
                strengths += amounts.values()
            if weights is None:
                del strengths[len(product_ids) :]
                strengths += [1.0] * len(visits)
        product_ids += visits
        times_ms += visits.values()
        counts.append(len(visits))
    return Sessions(
        list(histories),
        np.array(counts, np.int64),
        assign(product_ids),
        np.array(times_ms, np.int64),
        np.array(strengths, np.float32),
    )


def bought_units(history: UserHistory) -> dict[str, float]:
    """Units of each product that were bought and not returned, above zero."""
    units: dict[str, float] = {}
    for product_id, action, quantity in zip(history.product_ids, history.actions, history.quantities, strict=True):
        if action == Action.PURCHASE:
            units[product_id] = units.get(product_id, 0.0) + quantity
    return {product_id: left for product_id, left in units.items() if left > 0.0}


def _amounts(history: UserHistory, weights: ActionWeights, bought: BoughtUnits | None) -> dict[str, float]:
    """What the visits to each product amount to, above zero."""
    if not any(history.actions):  # views alone, as most histories are
        return dict.fromkeys(history.product_ids, weights.view) if weights.view > 0.0 else {}
    amounts: dict[str, float] = {}
    for product_id, action, quantity in zip(history.product_ids, history.actions, history.quantities, strict=True):
        if action == Action.PURCHASE:
            amounts.setdefault(product_id, 0.0)
        else:
            amounts[product_id] = max(amounts.get(product_id, 0.0), weights.of(action, quantity))
    for product_id, left in bought_units(history).items():
        if bought is None:
            amount = weights.of(Action.PURCHASE, left)
        else:
            amount = weights.purchase * (1.0 + bought.share(product_id, left))
        amounts[product_id] = max(amounts[product_id], amount)
    return {product_id: amount for product_id, amount in amounts.items() if amount > 0.0}
