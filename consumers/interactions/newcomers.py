"""Users of whom a profile is known and no visit: their lists follow from those of the segment and of the shop."""

from __future__ import annotations

from collections.abc import Collection
from itertools import islice

Shopper = tuple[int, str]
"""A partition, and a subject in it."""


class Newcomers:
    """Takes turns: when what their lists follow from has changed, each is due once, some at a time."""

    def __init__(self) -> None:
        self._waiting: dict[Shopper, None] = {}
        self._due = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def are_due(self) -> bool:
        """True while lists wait to be made anew."""
        return self._due > 0

    def put(self, shopper: Shopper) -> None:
        """Take a newcomer, behind the others."""
        self._waiting.setdefault(shopper)

    def discard(self, shopper: Shopper) -> None:
        """They are known by what they do now, or not at all any more."""
        self._waiting.pop(shopper, None)

    def revoke(self, partitions: Collection[int]) -> None:
        """Forget those of these partitions."""
        self._waiting = dict.fromkeys(shopper for shopper in self._waiting if shopper[0] not in partitions)

    def outdate(self) -> None:
        """Let every newcomer be due."""
        self._due = len(self._waiting)

    def take_due(self, at_most: int) -> list[Shopper]:
        """Those whose turn it is, who then stand behind the others."""
        taken = list(islice(self._waiting, min(at_most, self._due)))
        self._due = self._due - len(taken) if taken else 0
        for shopper in taken:
            del self._waiting[shopper]
            self._waiting[shopper] = None
        return taken
