"""A bounded set of ids that forgets the one longest unvisited."""

from __future__ import annotations

from itertools import islice


class RecentIds:
    """At most ``limit`` ids, and what is more than that to be taken out by the owner of what they stand for."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._ids: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def visit(self, an_id: str) -> None:
        """Put an id in as the one visited last."""
        self._ids.pop(an_id, None)
        self._ids[an_id] = None

    def discard(self, an_id: str) -> None:
        """Take an id out if it is in."""
        self._ids.pop(an_id, None)

    def take_excess(self) -> list[str]:
        """Take out as many as are more than the limit, those longest unvisited."""
        excess = list(islice(self._ids, max(0, len(self._ids) - self._limit)))
        for an_id in excess:
            del self._ids[an_id]
        return excess
