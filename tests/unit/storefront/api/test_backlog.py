from __future__ import annotations

from typing import NamedTuple

from storefront.api.backlog import LONGEST_PAUSE_SECONDS, Backlog


class Entry(NamedTuple):
    topic_name: str
    number: int


def popped(backlog: Backlog[Entry], now: float) -> list[Entry]:
    found = []
    while (entry := backlog.pop(now)) is not None:
        found.append(entry)
    return found


def test_entries_come_in_order() -> None:
    backlog: Backlog[Entry] = Backlog()
    entries = [Entry("a", 1), Entry("b", 2), Entry("a", 3)]
    backlog.extend(entries)
    assert popped(backlog, 0.0) == entries
    assert backlog.wait_seconds(0.0) is None


def test_a_topic_that_cannot_be_reached_stands_aside_in_its_order() -> None:
    backlog: Backlog[Entry] = Backlog()
    backlog.extend([Entry("a", 1), Entry("b", 2), Entry("a", 3)])
    first = backlog.pop(0.0)
    assert first is not None
    backlog.put_aside(first, 0.0)
    assert popped(backlog, 0.0) == [Entry("b", 2)]
    assert backlog.wait_seconds(0.1) == 0.15
    again = backlog.pop(0.25)
    assert again == first
    backlog.reached("a")
    backlog.extend([Entry("a", 4)])
    assert popped(backlog, 0.25) == [Entry("a", 3), Entry("a", 4)]


def test_pauses_double_up_to_a_limit() -> None:
    backlog: Backlog[Entry] = Backlog()
    backlog.put_aside(Entry("a", 1), 0.0)
    now, pauses = 0.0, []
    for _ in range(9):
        wait = backlog.wait_seconds(now)
        assert wait is not None
        pauses.append(wait)
        now += wait
        entry = backlog.pop(now)
        assert entry is not None
        backlog.put_aside(entry, now)
    assert pauses[:3] == [0.25, 0.5, 1.0]
    assert pauses[-1] == LONGEST_PAUSE_SECONDS
    assert backlog.drain() == [Entry("a", 1)]
    assert backlog.drain() == []
