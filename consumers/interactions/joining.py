"""Guests who sign in: their session's history goes to the user, whose partition another process may own.

The owner of the session takes the history out and sends it to the user's owner, in one transaction: state and
list withdrawn, what it added for others taken back, the events on session-history. The user's owner adds them as
it adds any events, so the same event_id counts once, however often a sign-in is told.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import NamedTuple

from consumers.runtime.records import Headers
from consumers.runtime.stage import AnyMessage
from recsys.histories import History, HistoryEvent
from recsys.recent_ids import RecentIds
from schemas.events import SessionHistory

JOINED_CAUSE = "session-joined"
"""What outputs name as their cause: the topic alone, without who it was."""

_HEADER = "recsys.joined"


class Join(NamedTuple):
    """Whose a session is, and since when, by the broker's clock."""

    user_id: str
    joined_at_ms: int

    @property
    def headers(self) -> Headers:
        """What the tombstone of the session's state says, for a shard that is restored."""
        return [(_HEADER, json.dumps(self).encode())]


class GuestJoins:
    """Whose the sessions are that joined users; the ``limit`` that joined last.

    Topics are handed over one after another, so a guest's event from before the sign-in may be read after it.
    """

    def __init__(self, limit: int = 10_000) -> None:
        self._recent = RecentIds(limit)
        self._joins: dict[str, Join] = {}

    def take(self, message: AnyMessage) -> Join:
        """Take a sign-in."""
        join = Join(message.value.user_id, message.timestamp_ms)
        self._put(message.key, join)
        return join

    def restore(self, tombstone: AnyMessage) -> None:
        """Take back what a tombstone of the changelog says."""
        said = dict(tombstone.record.headers).get(_HEADER)
        if said is not None:
            self._put(tombstone.key, Join(*json.loads(said)))

    def late(self, session_id: str, newest: AnyMessage | None) -> Join | None:
        """Where a session's events belong that came before it joined, and are read after; None for others."""
        join = self._joins.get(session_id)
        if join is None or newest is None or newest.timestamp_ms >= join.joined_at_ms:
            return None
        return join

    def _put(self, session_id: str, join: Join) -> None:
        self._recent.visit(session_id)
        self._joins[session_id] = join
        for excess in self._recent.take_excess():
            del self._joins[excess]


def sent(history: History, session_id: str, join: Join) -> SessionHistory:
    """A guest's history on its way to the user."""
    state = history.snapshot(session_id)
    return SessionHistory(
        user_id=join.user_id,
        session_id=session_id,
        joined_at_ms=join.joined_at_ms,
        event_time_ms=history.latest_ms(),
        event_hashes=state.event_hashes,
        event_times_ms=state.event_times_ms,
        product_ids=state.product_ids,
        actions=state.actions,
        quantities=state.quantities,
    )


def received(sent: SessionHistory, shared_id: Callable[[str], str]) -> list[HistoryEvent]:
    """The events of a guest's history, oldest first; ``shared_id`` as in ``history_event``."""
    product_ids = map(shared_id, sent.product_ids)
    columns = (sent.event_times_ms, sent.event_hashes, product_ids, sent.actions, sent.quantities)
    return [HistoryEvent(*row) for row in zip(*columns, strict=True)]
