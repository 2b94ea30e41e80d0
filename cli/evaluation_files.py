"""The files that ``recsys evaluate`` reads; a row that a figure depends on is never left out in silence."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from producers.cells import RowError, as_text, as_time_ms
from producers.clickstream import FIELDS, Clickstream, ClickstreamOptions, ShopperEvent
from producers.errors import UnreadableSourceError
from producers.tables import AcceptedRow, Table, resolve_columns
from schemas.events import PdpView

_TEST_FIELDS = {name: FIELDS[name] for name in ("user_id", "session_id", "product_id")}
_SESSION = ("SessionId", "session_id", "sessionid", "session")
_CLICK_FIELDS = {
    "SessionId": _SESSION,
    "ItemId": ("ItemId", "item_id", "itemid", "product_id"),
    "Time": ("Time", "time"),
}
_POSITION_FIELDS = {"session_id": _SESSION, "position": ("position",)}


@dataclass(frozen=True, slots=True)
class Recorded:
    """Events in time order, and how many rows became none, with the reason of the first."""

    events: Sequence[ShopperEvent]
    rejected: int = 0
    first_rejection: str = ""


class Click(NamedTuple):
    """One view in a session."""

    product_id: str
    at_ms: int


Sessions = Mapping[str, Sequence[Click]]
"""The clicks of each session, in time order."""

Positions = Mapping[str, Collection[int]]
"""Which next clicks are asked for: those after these 0-based positions of the sessions, known up to there."""


def read_events(path: Path, mapping: Mapping[str, str]) -> Recorded:
    """A clickstream as ``recsys publish events`` takes it, sorted by time; rows of equal time keep their order."""
    events: list[ShopperEvent] = []
    rejections: list[str] = []
    for row in Clickstream(path, ClickstreamOptions(mapping)).rows():
        if isinstance(row, AcceptedRow):
            events.append(row.event)
        else:
            rejections.append(f"line {row.line}: {row.reason}")
    first = rejections[0] if rejections else ""
    if not events:
        raise UnreadableSourceError(f"{path.name} has no usable event; {first or 'it has a header only'}")
    events.sort(key=lambda event: event.event_time_ms)
    return Recorded(events, len(rejections), first)


def read_test_products(path: Path, mapping: Mapping[str, str]) -> dict[str, set[str]]:
    """The products of each user (of the session, for a guest's row); other columns do not matter."""
    own = {name: column for name, column in mapping.items() if name in _TEST_FIELDS}
    products: dict[str, set[str]] = {}
    for line, row in _rows(path, _TEST_FIELDS, ("product_id",), own):
        subject = row.get("user_id") or row.get("session_id")
        if subject is None:
            raise UnreadableSourceError(f"line {line} of {path.name} has neither user_id nor session_id; give one")
        products.setdefault(subject, set()).add(row["product_id"])
    if not products:
        raise UnreadableSourceError(f"{path.name} has a header only; give the products that are to be found")
    return products


def read_sessions(path: Path, mapping: Mapping[str, str]) -> Sessions:
    """Tab-separated SessionId, ItemId and Time (seconds since 1970), with a header."""
    sessions: dict[str, list[Click]] = {}
    for line, row in _rows(path, _CLICK_FIELDS, tuple(_CLICK_FIELDS), mapping):
        try:
            click = Click(row["ItemId"], as_time_ms("Time", row["Time"], "s"))
        except RowError as error:
            raise UnreadableSourceError(f"line {line} of {path.name}: {error}") from error
        sessions.setdefault(row["SessionId"], []).append(click)
    if not sessions:
        raise UnreadableSourceError(f"{path.name} has a header only; give sessions")
    for clicks in sessions.values():
        clicks.sort(key=lambda click: click.at_ms)
    return sessions


def read_positions(path: Path, sessions: Sessions) -> Positions:
    """Pairs (session_id, position) in CSV, or TSV by its ending, with a header.

    Raises ``UnreadableSourceError`` for a pair that the sessions do not have, or that is there twice.
    """
    positions: dict[str, set[int]] = {}
    for line, row in _rows(path, _POSITION_FIELDS, tuple(_POSITION_FIELDS), {}):
        session_id, text = row["session_id"], row["position"]
        last = len(sessions.get(session_id, ())) - 2
        if not (text.isascii() and text.isdecimal() and int(text) <= last):
            has = f"has the positions 0 to {last}" if last >= 0 else "has no click that another follows"
            raise UnreadableSourceError(f"line {line} of {path.name}: {text!r}, but session {session_id} {has}")
        if int(text) in positions.setdefault(session_id, set()):
            raise UnreadableSourceError(f"line {line} of {path.name}: session {session_id}, {text} is there twice")
        positions[session_id].add(int(text))
    if not positions:
        raise UnreadableSourceError(f"{path.name} has a header only; give pairs of session_id and position")
    return positions


def all_positions(sessions: Sessions) -> Positions:
    """Every click that another follows."""
    return {session_id: set(range(len(clicks) - 1)) for session_id, clicks in sessions.items()}


def session_views(sessions: Sessions) -> list[PdpView]:
    """The clicks as guests' views, in time order; clicks of equal time keep the order of the sessions."""
    views = [
        PdpView(f"{session_id}/{place}", click.at_ms, None, session_id, click.product_id)
        for session_id, clicks in sessions.items()
        for place, click in enumerate(clicks)
    ]
    views.sort(key=lambda view: view.event_time_ms)
    return views


def _rows(
    path: Path, fields: Mapping[str, tuple[str, ...]], required: tuple[str, ...], mapping: Mapping[str, str]
) -> Iterator[tuple[int, dict[str, str]]]:
    """Line numbers and cells by field; raises ``UnreadableSourceError`` for a row that lacks a required one."""
    table = Table(path)
    columns = resolve_columns(table, mapping, fields, required)
    for raw in table.rows():
        row = {name: as_text(raw.cells[column]) for name, column in columns.items() if column in raw.cells}
        missing = [name for name in required if not row.get(name)]
        if raw.defect is not None or missing:
            why = raw.defect or f"has no {' and no '.join(missing)}"
            raise UnreadableSourceError(f"line {raw.line} of {path.name} {why}")
        yield raw.line, row
