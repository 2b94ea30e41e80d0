"""Publishes the rows of a catalogue or clickstream, and accounts for each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from producers.client import ShopEvents
from producers.pacing import Pacer
from producers.publications import ShopEvent
from producers.tables import AcceptedRow, RejectedRow
from schemas.errors import ContractError


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What became of the rows: every one of them is published or rejected."""

    published: int
    rejected: int


def replay(
    rows: Iterable[AcceptedRow[ShopEvent] | RejectedRow],
    shop: ShopEvents,
    *,
    pacer: Pacer | None = None,
    on_published: Callable[[ShopEvent], None] = lambda event: None,
    on_rejected: Callable[[RejectedRow], None] = lambda row: None,
) -> ReplayReport:
    """Publish the rows in order and flush; raises ``DeliveryError`` when Kafka did not take them all."""
    published = rejected = 0
    for row in rows:
        if isinstance(row, AcceptedRow):
            if pacer is not None:
                pacer.wait(row.event.event_time_ms)
            try:
                shop.publish(row.event)
            except ContractError as error:
                row = RejectedRow(row.line, str(error))
            else:
                published += 1
                on_published(row.event)
                continue
        rejected += 1
        on_rejected(row)
    shop.flush()
    return ReplayReport(published, rejected)
