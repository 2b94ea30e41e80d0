"""Prequential figures of a batch: where what shoppers did next stood in the lists published before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import repeat

from consumers.runtime.outbox import Outbox
from recsys.evaluation.live import rank_class, rank_in
from schemas.events import Kind

_CONTROLS = (Kind.POPULAR, Kind.TRENDING)
_Seen = tuple[str, int, str]


class LiveQuality:
    """Counts by kind of list, rank and segment; popular and trending lists of the shop are the control.

    ``is_listed`` says which segments have a list of their own: there is a bounded number of those, and so of
    metrics. Others count as without a segment.
    """

    def __init__(self, is_listed: Callable[[str], bool]) -> None:
        self._is_listed = is_listed
        self._ranks: dict[str, dict[str, int]] = {kind: {} for kind in _CONTROLS}
        self._seen: list[_Seen] = []
        """Of a batch: the segment, the rank in the for-you list published before, and the product."""

    def put_list(self, kind: str, product_ids: Sequence[str]) -> None:
        """Take the shop's popular or trending list as it is now."""
        self._ranks[kind] = {product_id: rank for rank, product_id in enumerate(product_ids, start=1)}

    def begin(self) -> None:
        """Begin a batch; what was seen of one that came to nothing is dropped."""
        self._seen.clear()

    def see(self, segment: str, listed: Sequence[str], product_ids: Sequence[str]) -> None:
        """Take what a shopper did after a list was published."""
        self._seen += [(segment, rank_in(listed, product_id), product_id) for product_id in product_ids]

    def report(self, out: Outbox) -> None:
        """Count what was seen."""
        if not self._seen:
            return
        segments, for_you, product_ids = zip(*self._seen, strict=True)
        columns = {kind: map(ranks.get, product_ids, repeat(0)) for kind, ranks in self._ranks.items()}
        for kind, column in ((Kind.FOR_YOU, for_you), *columns.items()):
            for (segment, rank), amount in Counter(zip(segments, column, strict=True)).items():
                name = segment if self._is_listed(segment) else ""
                out.observe("list_hits", kind, name, rank_class(rank), amount=amount)
                if rank:
                    out.observe("list_reciprocal_ranks", kind, name, amount=amount / rank)
