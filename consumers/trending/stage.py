"""The stage: co-visits and segment-visits in, popular and trending lists out.

The weights of products are the changelog; which lists readers have, the stage knows by following its own lists
on recommendation-updated. Lists of the shop, and of categories and segments visited, are ranked with every batch.
The others, whose products may have stopped trending or changed in the catalogue, take turns.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from consumers.runtime.causes import NO_CAUSE, Cause
from consumers.runtime.outbox import Outbox
from consumers.runtime.stage import AnyMessage, Stage, StageSpec
from consumers.trending.settings import TrendingSettings
from recsys.catalogue import Catalogue, CatalogueChange
from recsys.popularity import OVERALL, Popularity
from recsys.recent_ids import RecentIds
from schemas.events import CoVisits, Kind, ListedProduct, RecommendationUpdated, SegmentVisits
from schemas.topics import CO_VISITS, PRODUCT_CREATED, RECOMMENDATION_UPDATED, SEGMENT_VISITS, TRENDING_STATE

BEYOND_LIMIT = "beyond-limit"
"""Outcome of visits of a segment that is one too many."""

_OWN_LISTS = (f"{Kind.POPULAR}:", f"{Kind.TRENDING}:")


class _Listed(NamedTuple):
    """A list as readers have it; without products once it was withdrawn."""

    revision: int
    product_ids: tuple[str, ...]


_NEVER_LISTED = _Listed(0, ())


class TrendingStage(Stage):
    """Counts visits to all products, and publishes the lists whose products or order changed.

    A product that is retired or out of stock leaves every list; one that is retired is forgotten. Visits to
    products that the catalogue does not have count, up to a bound of such products, once they are created.
    """

    spec = StageSpec(
        "trending",
        inputs=(CO_VISITS, SEGMENT_VISITS),
        tables=(PRODUCT_CREATED, RECOMMENDATION_UPDATED),
        changelogs=(TRENDING_STATE,),
        sole_owner=True,
        gather_ms=200,
        gather_tables_ms=200,
    )

    def __init__(self, settings: TrendingSettings | None = None) -> None:
        self._settings = settings or TrendingSettings()
        self._rules = self._settings.rules()
        self._catalogue = Catalogue()
        self._catalogue_cause = NO_CAUSE
        self._on_the_topic: dict[str, _Listed] = {}
        self._listed: dict[str, _Listed] = {}
        self._outdated: dict[str, Cause] = {}
        self._start_empty()

    def wants(self, topic: str, key: str) -> bool:
        """Of recommendation-updated, only the stage's own lists."""
        return topic != RECOMMENDATION_UPDATED.name or key.startswith(_OWN_LISTS)

    def process(self, messages: Sequence[AnyMessage], out: Outbox) -> None:
        """Count visits; each product visited is written to the changelog once."""
        batch: list[CoVisits] = [message.value for message in messages if message.topic == CO_VISITS.name]
        of_segments = [message for message in messages if message.topic == SEGMENT_VISITS.name]
        visited = dict.fromkeys(self._popularity.add(batch))
        segments = self._add_segments(of_segments, visited, out)
        if not visited:
            return
        newest = max((message.value for message in messages), key=lambda visits: visits.caused_at_ms)
        event_time_ms = max(self._popularity.latest_ms(product_id) for product_id in visited)
        withdrawn = {co_visits.product_id for co_visits in batch if co_visits.withdrawn}
        withdrawn.update(*(message.value.withdrawn for message in of_segments))
        for product_id in visited:
            if product_id in withdrawn and self._popularity.is_empty(product_id):
                self._unknown.discard(product_id)
                self._forget(product_id, out)
                continue
            out.publish(self._popularity.snapshot(product_id))
            if product_id not in self._catalogue:
                self._unknown.visit(product_id)
        for product_id in self._unknown.take_excess():
            self._forget(product_id, out)
        cause = Cause(newest.caused_at_ms, newest.caused_by, event_time_ms)
        categories = filter(None, map(self._catalogue.category_of, visited))
        subjects = dict.fromkeys((OVERALL, *categories, *segments, *self._next_in_turn()), cause)
        self._publish(subjects, out)

    def _add_segments(
        self, messages: Sequence[AnyMessage], visited: dict[str, None], out: Outbox
    ) -> dict[str, None]:
        """Count visits by segment; adds to the products visited, and returns the segments."""
        segments: dict[str, None] = {}
        for message in messages:
            visits: SegmentVisits = message.value
            product_ids = self._popularity.add_segment(visits)
            if product_ids is None:
                out.count(message, BEYOND_LIMIT)
            else:
                visited.update(dict.fromkeys(product_ids))
                segments[visits.segment] = None
        return segments

    def follow(self, messages: Sequence[AnyMessage], out: Outbox) -> None:
        """Take the catalogue, and the stage's own lists, as they are now."""
        for message in messages:
            if message.topic == RECOMMENDATION_UPDATED.name:
                self._see_list(message)
                continue
            change = self._catalogue.put(message.key, message.value)
            if change is not None:
                self._catalogue_cause = Cause.of(message)
                self._take_change(change, out)
        self.poll(out)

    def poll(self, out: Outbox) -> None:
        """Rank anew some of the lists that the catalogue changed."""
        if self.busy():
            subjects = list(self._outdated)[: self._settings.categories_by_round]
            self._publish({subject: self._outdated[subject] for subject in subjects}, out)

    def busy(self) -> bool:
        """True while lists wait to be ranked anew."""
        return self._owner and bool(self._outdated)

    def restore(self, messages: Sequence[AnyMessage]) -> None:
        """Take weights back."""
        for message in messages:
            if message.value is None:
                self._popularity.drop(message.key)
            else:
                self._popularity.restore(message.value)

    def restored(self, partitions: Sequence[int], out: Outbox) -> None:
        """Begin to publish: forget what is in no catalogue beyond the bound, and rank everything anew."""
        if not partitions:
            return
        self._owner = True
        self._listed = dict(self._on_the_topic)
        unknown = [product_id for product_id in self._popularity if product_id not in self._catalogue]
        for product_id in sorted(unknown, key=lambda an_id: (self._popularity.latest_ms(an_id), an_id)):
            self._unknown.visit(product_id)
        ranked = (*self._popularity.categories(), *self._popularity.segments())
        subjects = {OVERALL, *ranked, *(key.partition(":")[2] for key in self._listed)}
        self._outdated = dict.fromkeys(sorted(subjects), self._catalogue_cause)

    def revoke(self, partitions: Sequence[int]) -> None:
        """Forget all weights; what the tables say stays."""
        self._start_empty()

    def _start_empty(self) -> None:
        self._owner = False
        self._popularity = Popularity(self._rules, self._catalogue)
        self._unknown = RecentIds(self._settings.max_unknown_products)
        self._listed = {}
        self._outdated = {}
        self._turn = 0

    def _see_list(self, message: AnyMessage) -> None:
        """Take note of a list of the stage's own; what this process has published since is newer."""
        if not message.key.startswith(_OWN_LISTS):
            return
        update: RecommendationUpdated | None = message.value
        earlier = self._on_the_topic.get(message.key, _NEVER_LISTED)
        if update is None:
            listed = _Listed(earlier.revision, ())
        else:
            listed = _Listed(update.revision, tuple(item.product_id for item in update.items))
        self._on_the_topic[message.key] = listed
        if self._owner and listed.revision > self._listed.get(message.key, _NEVER_LISTED).revision:
            self._listed[message.key] = listed

    def _take_change(self, change: CatalogueChange, out: Outbox) -> None:
        self._unknown.discard(change.product_id)
        if change.product_id not in self._popularity:
            return
        segments = self._popularity.segments_of(change.product_id)
        if change.retired:
            self._forget(change.product_id, out)
        else:
            self._popularity.reclassify(change.product_id)
        categories = {facts.category for facts in (change.before, change.after) if facts is not None}
        for subject in (OVERALL, *sorted(categories), *segments):
            self._outdated[subject] = self._catalogue_cause

    def _forget(self, product_id: str, out: Outbox) -> None:
        if self._popularity.drop(product_id):
            out.retract(TRENDING_STATE, product_id)

    def _next_in_turn(self) -> list[str]:
        """Categories and segments to rank although nothing in them was visited."""
        subjects = [*self._popularity.categories(), *self._popularity.segments()]
        if not subjects:
            return []
        count = min(self._settings.categories_by_round, len(subjects))
        chosen = [subjects[(self._turn + step) % len(subjects)] for step in range(count)]
        self._turn = (self._turn + count) % len(subjects)
        return chosen

    def _publish(self, subjects: dict[str, Cause], out: Outbox) -> None:
        """Rank these subjects and publish what changed; a list that became empty is withdrawn."""
        for kind, subject, items in self._popularity.lists(subjects):
            self._outdated.pop(subject, None)
            key = f"{kind}:{subject}"
            earlier = self._listed.get(key, _NEVER_LISTED)
            product_ids = tuple(item.product_id for item in items)
            if product_ids == earlier.product_ids:
                continue
            if items:
                self._listed[key] = _Listed(earlier.revision + 1, product_ids)
                out.publish(_update(kind, subject, earlier.revision + 1, items, subjects[subject]))
            else:
                self._listed[key] = _Listed(earlier.revision, ())
                out.retract(RECOMMENDATION_UPDATED, key)


def _update(
    kind: str, subject: str, revision: int, items: Iterable[ListedProduct], cause: Cause
) -> RecommendationUpdated:
    return RecommendationUpdated(
        kind, subject, revision, tuple(items), cause.event_time_ms, cause.caused_by, cause.caused_at_ms
    )
