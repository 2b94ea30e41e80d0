"""What is left of purchases once returns are taken off them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from recsys.histories import HistoryEvent
from schemas.events import Action

_PURCHASE = int(Action.PURCHASE)


def net_of_returns(events: Iterable[HistoryEvent]) -> list[HistoryEvent]:
    """Events in order, oldest first, without returns and without what they took back.

    A return takes its units off the purchases of the product before it, the latest first, so an old purchase that
    drops out of a history leaves the others as they are. A return of more than was bought takes back no more.
    """
    kept: list[HistoryEvent | None] = []
    places: dict[str, list[int]] = {}
    for event in events:
        if event.action != _PURCHASE or event.quantity > 0:
            if event.action == _PURCHASE:
                places.setdefault(event.product_id, []).append(len(kept))
            kept.append(event)
        else:
            _take_off(-event.quantity, kept, places.get(event.product_id, []))
    return [event for event in kept if event is not None]


def are_purchases_plain(known: Sequence[float], events: Sequence[HistoryEvent]) -> bool:
    """True where new events bring no return, and no purchase to a history, of these quantities, that holds one."""
    purchased = [event.quantity for event in events if event.action == _PURCHASE]
    return not purchased or (min(purchased) > 0 and min(known, default=1.0) > 0)


def _take_off(units: float, kept: list[HistoryEvent | None], places: list[int]) -> None:
    while units > 0 and places:
        purchase = kept[places[-1]]
        assert purchase is not None
        if purchase.quantity > units:
            kept[places[-1]] = purchase._replace(quantity=purchase.quantity - units)
            return
        units -= purchase.quantity
        kept[places.pop()] = None
