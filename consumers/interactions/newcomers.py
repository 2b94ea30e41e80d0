"""Users of whom a profile is known and no visit: their lists follow from those of the segment and of the shop."""

from __future__ import annotations

from collections.abc import Collection
from itertools import islice

Shopper = tuple[int, str]
"""A partition, and a subject in it."""


class Newcomers:
    """Whose turn it is to have a list made anew.

    Who has none yet is due once whenever something changed that lists follow from. Those who have one take turns
    with the events of others, so that however many there are, a small share of what is written is about them.
    """

    def __init__(self) -> None:
        self._unlisted: dict[Shopper, None] = {}
        self._listed: dict[Shopper, None] = {}
        self._due = 0

    def __len__(self) -> int:
        return len(self._unlisted) + len(self._listed)

    @property
    def are_due(self) -> bool:
        """True while some who have no list wait for one."""
        return self._due > 0

    def put(self, shopper: Shopper, *, has_list: bool) -> None:
        """Take a newcomer, behind the others."""
        self.discard(shopper)
        (self._listed if has_list else self._unlisted)[shopper] = None

    def discard(self, shopper: Shopper) -> None:
        """They are known by what they do now, or not at all any more."""
        self._unlisted.pop(shopper, None)
        self._listed.pop(shopper, None)

    def revoke(self, partitions: Collection[int]) -> None:
        """Forget those of these partitions."""
        self._unlisted, self._listed = (
            dict.fromkeys(shopper for shopper in those if shopper[0] not in partitions)
            for those in (self._unlisted, self._listed)
        )

    def outdate(self) -> None:
        """Let everybody without a list be due."""
        self._due = len(self._unlisted)

    def take_due(self, at_most: int) -> list[Shopper]:
        """Some of those who are due, who then stand behind the others."""
        taken = _turned(self._unlisted, min(at_most, self._due))
        self._due = self._due - len(taken) if taken else 0
        return taken

    def take_turn(self, at_most: int) -> list[Shopper]:
        """Some of those who have a list, who then stand behind the others."""
        return _turned(self._listed, at_most)


def _turned(shoppers: dict[Shopper, None], at_most: int) -> list[Shopper]:
    """The first of them, who then are the last."""
    taken = list(islice(shoppers, at_most))
    for shopper in taken:
        del shoppers[shopper]
        shoppers[shopper] = None
    return taken
