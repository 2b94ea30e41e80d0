"""One kind of list: the neighbours that it is made of, and what readers have of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Mapping, Sequence
from typing import NamedTuple

from consumers.runtime.causes import Cause
from consumers.runtime.outbox import Outbox
from recsys.neighbours import Neighbour
from recsys.neighbours.by_encoder import NeighboursByEncoder
from schemas.events import Kind, ListedProduct, Reason, RecommendationUpdated
from schemas.topics import RECOMMENDATION_UPDATED

_REASONS = {Kind.SIMILAR: Reason.LOOKS_LIKE, Kind.COMPLETE_THE_LOOK: Reason.COMPLETES_THE_LOOK}


class _Published(NamedTuple):
    """A list as readers have it."""

    revision: int
    content: int
    """Hash of products and scores."""
    encoder_id: str


class ListKind:
    """Lists of one kind; ``make`` gives empty neighbours for them."""

    def __init__(self, kind: str, make: Callable[[], NeighboursByEncoder]) -> None:
        self.kind = kind
        self._make = make
        self.neighbours = make()
        self.published: dict[str, _Published] = {}

    def begin_anew(self) -> None:
        """With no neighbours."""
        self.neighbours = self._make()

    def restore(self, subject: str, update: RecommendationUpdated | None) -> None:
        """Take back what readers have of a product's list; None where it was withdrawn."""
        if update is None:
            self.published.pop(subject, None)
        else:
            self.published[subject] = _published(update)

    def publish(
        self,
        product_ids: Collection[str],
        known: Container[str],
        causes: Mapping[str, Cause],
        newest: Cause,
        out: Outbox,
    ) -> None:
        """Publish the lists of products that differ from what readers have.

        ``known`` are the products of the catalogue; others have no list. A list's cause is the newest of those
        that are its own or its products', else ``newest``.
        """
        for product_id in sorted(product_ids):
            items = self.neighbours.neighbours(product_id) if product_id in known else []
            earlier = self.published.get(product_id)
            if items:
                involved = [causes[i] for i in (product_id, *(item.product_id for item in items)) if i in causes]
                update = self._update(product_id, earlier, items, max(involved, default=newest))
                published = _published(update)
                if earlier is None or published[1:] != earlier[1:]:
                    out.publish(update)
                    self.published[product_id] = published
            elif earlier is not None:
                out.retract(RECOMMENDATION_UPDATED, f"{self.kind}:{product_id}")
                del self.published[product_id]

    def _update(
        self, product_id: str, earlier: _Published | None, items: Sequence[Neighbour], cause: Cause
    ) -> RecommendationUpdated:
        reason = _REASONS[self.kind]
        return RecommendationUpdated(
            kind=self.kind,
            subject=product_id,
            revision=1 if earlier is None else earlier.revision + 1,
            items=tuple(ListedProduct(item.product_id, item.score, reason, product_id) for item in items),
            event_time_ms=cause.event_time_ms,
            caused_by=cause.caused_by,
            caused_at_ms=cause.caused_at_ms,
            encoder_id=self.neighbours.encoder_of(product_id),
        )


def _published(update: RecommendationUpdated) -> _Published:
    content = hash(tuple((item.product_id, item.score) for item in update.items))
    return _Published(update.revision, content, update.encoder_id)
