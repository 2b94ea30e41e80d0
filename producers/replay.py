"""Publishes the rows of a catalogue or clickstream, and accounts for each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from producers.client import ShopEvents
from producers.pacing import Pacer
from producers.publications import ShopEvent
from producers.tables import AcceptedRow, RejectedRow
from schemas.errors import ContractError

KEPT_REJECTIONS = 1000


@dataclass(slots=True)
class ReplayReport:
    """What became of the rows: how many were published and rejected, and the first of the rejected ones."""

    published: int = 0
    rejected: int = 0
    rejections: list[RejectedRow] = field(default_factory=list)

    def reject(self, row: RejectedRow) -> None:
        """Count a rejected row, and keep it while there are few."""
        self.rejected += 1
        if len(self.rejections) < KEPT_REJECTIONS:
            self.rejections.append(row)


def replay(
    rows: Iterable[AcceptedRow[ShopEvent] | RejectedRow],
    shop: ShopEvents,
    pacer: Pacer | None = None,
    on_progress: Callable[[ReplayReport], None] | None = None,
) -> ReplayReport:
    """Publish the rows in order and flush; raises ``DeliveryError`` when Kafka did not take them all."""
    report = ReplayReport()
    for row in rows:
        if isinstance(row, RejectedRow):
            report.reject(row)
        else:
            if pacer is not None:
                pacer.wait(row.event.event_time_ms)
            try:
                shop.publish(row.event)
                report.published += 1
            except ContractError as error:
                report.reject(RejectedRow(row.line, str(error)))
        if on_progress is not None:
            on_progress(report)
    shop.flush()
    return report
