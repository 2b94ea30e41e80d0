"""Prequential evaluation: was what a shopper does next in the list that was published before?

Source: Gama, Sebastião and Rodrigues, "On evaluating stream learning algorithms" (Machine Learning, 2013): each
event first tests what was learnt so far, then teaches.
"""

from __future__ import annotations

from collections.abc import Sequence

_BOUNDS = ((1, "1"), (5, "2-5"), (10, "6-10"), (20, "11-20"))
_LOWER = "21 and lower"
MISSED = "missed"

RANKS = (*(name for _, name in _BOUNDS), _LOWER, MISSED)
"""Every rank as it is told."""


def rank_class(rank: int) -> str:
    """One of ``RANKS`` for a rank from 1; 0 is a miss."""
    if not rank:
        return MISSED
    return next((name for bound, name in _BOUNDS if rank <= bound), _LOWER)


def rank_in(listed: Sequence[str], product_id: str) -> int:
    """Where a product stands in a list, best first, from 1; 0 where it does not."""
    return listed.index(product_id) + 1 if product_id in listed else 0
