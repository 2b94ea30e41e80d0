"""What stages share about users who ask to be forgotten: what is left out, also by a process that restarts."""

from __future__ import annotations

from collections.abc import Sequence

from consumers.runtime.outbox import Outbox
from consumers.runtime.stage import AnyMessage
from recsys.recent_ids import RecentIds
from schemas.topics import Topic

FORGOTTEN = "forgotten"
"""What becomes of an event that came before its shopper asked to be forgotten."""

_ASKED_HEADER = "recsys.forgotten_ms"


class Forgetting:
    """When subjects asked to be forgotten; the ``limit`` that asked last.

    Topics are handed over one after another, so an event that came before the request may be read after it. The
    tombstone on the stage's changelog says when that was, for a shard that is restored. Times are the broker's.
    """

    def __init__(self, limit: int = 10_000) -> None:
        self._recent = RecentIds(limit)
        self._asked_ms: dict[str, int] = {}

    def take(self, request: AnyMessage, changelog: Topic, out: Outbox) -> None:
        """Withdraw the state of who asks, and leave out from now on what came before."""
        self._put(request.key, request.timestamp_ms)
        asked = (_ASKED_HEADER, str(request.timestamp_ms).encode())
        out.retract(changelog, request.key, partition=request.partition, headers=[asked])

    def restore(self, tombstone: AnyMessage) -> None:
        """Take back what a tombstone of the changelog says."""
        asked_ms = dict(tombstone.record.headers).get(_ASKED_HEADER)
        if asked_ms is not None:
            self._put(tombstone.key, int(asked_ms))

    def asked_ms(self, subject: str) -> int:
        """When a subject asked; 0 where that is not known."""
        return self._asked_ms.get(subject, 0)

    def since(self, subject: str, messages: Sequence[AnyMessage], out: Outbox) -> Sequence[AnyMessage]:
        """A subject's events without those that came before the request, which are counted."""
        asked_ms = self.asked_ms(subject)
        if not asked_ms:
            return messages
        for message in messages:
            if message.timestamp_ms < asked_ms:
                out.count(message, FORGOTTEN)
        return [message for message in messages if message.timestamp_ms >= asked_ms]

    def _put(self, subject: str, asked_ms: int) -> None:
        self._recent.visit(subject)
        self._asked_ms[subject] = max(asked_ms, self._asked_ms.get(subject, 0))
        for excess in self._recent.take_excess():
            del self._asked_ms[excess]
