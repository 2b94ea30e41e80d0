"""Does every product get its turn? In how many lists the most listed product stands, and how many are in none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class InDegrees(NamedTuple):
    """In how many lists products stand, counting the first ``places`` of each."""

    places: int
    largest: int
    share_in_no_list: float


def in_degrees(lists: Mapping[str, Sequence[str]], places: int) -> InDegrees:
    """Of the products that have a list (Radovanović et al., JMLR 2010, N_k); all 0 where there is none."""
    counts = Counter(listed for found in lists.values() for listed in found[:places])
    missing = sum(product_id not in counts for product_id in lists)
    return InDegrees(places, max(counts.values(), default=0), missing / len(lists) if lists else 0.0)
