from __future__ import annotations

from typing import cast

from producers.client import ShopEvents
from producers.pacing import Pacer
from producers.publications import ShopEvent
from producers.replay import ReplayReport, replay
from producers.tables import AcceptedRow, RejectedRow
from schemas.errors import InvalidEventError
from schemas.events import PdpView


class Recorder:
    """Stands in for the client."""

    def __init__(self) -> None:
        self.log: list[object] = []

    def publish(self, event: PdpView) -> None:
        if event.product_id == "refused":
            raise InvalidEventError("the codec says no")
        self.log.append(event.event_id)

    def flush(self) -> None:
        self.log.append("flush")


def view(line: int, product_id: str = "p") -> AcceptedRow[ShopEvent]:
    return AcceptedRow(line, PdpView(f"e{line}", line * 1000, "u", None, product_id))


def test_every_row_is_published_or_rejected_in_order() -> None:
    recorder = Recorder()
    published: list[ShopEvent] = []
    rejected: list[RejectedRow] = []
    rows = [view(2), RejectedRow(3, "is odd"), view(4, "refused"), view(5)]
    report = replay(rows, cast("ShopEvents", recorder), on_published=published.append, on_rejected=rejected.append)
    assert report == ReplayReport(published=2, rejected=2)
    assert recorder.log == ["e2", "e5", "flush"]
    assert [event.event_time_ms for event in published] == [2000, 5000]
    assert rejected == [RejectedRow(3, "is odd"), RejectedRow(4, "the codec says no")]


def test_the_pace_is_that_of_the_event_times() -> None:
    slept: list[float] = []
    pacer = Pacer(speed=2.0, clock=lambda: sum(slept), sleep=slept.append)
    replay([view(2), RejectedRow(3, ""), view(4)], cast("ShopEvents", Recorder()), pacer=pacer)
    assert slept == [1.0]
