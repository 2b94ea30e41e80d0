"""The stage: co-visits in, viewed-next and bought-together lists out.

A product's row and the products of its lists as last published are one changelog record, so a restored shard
knows what readers have. Rows whose lists depend on a change of the catalogue are listed anew a bounded number
at a time, so that a large change does not hold up the co-visits.
"""

from __future__ import annotations

from collections.abc import Sequence

from consumers.item_neighbours.settings import ItemNeighbourSettings
from consumers.runtime.causes import NO_CAUSE, Cause
from consumers.runtime.outbox import Outbox
from consumers.runtime.stage import AnyMessage, Stage, StageSpec
from recsys.catalogue import Catalogue
from recsys.item_row import ItemRow, latest_time_ms
from recsys.item_rows import ItemRows
from recsys.item_totals import ItemTotals
from recsys.recent_ids import RecentIds
from schemas.events import CoVisits, Kind, ListedProduct, RecommendationUpdated
from schemas.topics import CO_VISITS, ITEM_STATE, PRODUCT_CREATED, RECOMMENDATION_UPDATED


class _Shard:
    """The rows of one partition, and the work that is left to do on them."""

    def __init__(self, settings: ItemNeighbourSettings) -> None:
        self.rows = ItemRows(settings.rules())
        self.unknown = RecentIds(settings.max_unknown_products)
        """Products with a row that are not in the catalogue."""
        self.outdated: dict[str, Cause] = {}
        """Products whose lists may have changed with the catalogue."""


class ItemNeighboursStage(Stage):
    """Keeps the co-occurrence rows of its partitions and publishes the lists that change.

    A product that is retired or out of stock leaves every list and comes back with its next appearance; one
    that is retired loses its own lists and its row. Rows of products that the catalogue does not have are kept,
    up to a bound, and their lists published once the product is created.
    """

    spec = StageSpec(
        "item-neighbours",
        inputs=(CO_VISITS,),
        tables=(PRODUCT_CREATED,),
        changelogs=(ITEM_STATE,),
        gather_ms=200,
    )

    def __init__(self, settings: ItemNeighbourSettings | None = None) -> None:
        self._settings = settings or ItemNeighbourSettings()
        self._rules = self._settings.rules()
        self._catalogue = Catalogue()
        self._shards: dict[int, _Shard] = {}
        self._catalogue_cause = NO_CAUSE
        self._totals: ItemTotals | None = None

    def process(self, messages: Sequence[AnyMessage], out: Outbox) -> None:
        """Count co-visits; each product touched is listed and written to the changelog once."""
        touched: dict[tuple[int, str], Cause] = {}
        for message in messages:
            co_visits: CoVisits = message.value
            shard = self._shard(message.partition)
            shard.rows.add(co_visits)
            if co_visits.product_id not in self._catalogue:
                shard.unknown.visit(co_visits.product_id)
            cause = Cause(co_visits.caused_at_ms, co_visits.caused_by, latest_time_ms(co_visits))
            older = touched.get((message.partition, co_visits.product_id))
            if older is None or cause.caused_at_ms >= older.caused_at_ms:
                touched[message.partition, co_visits.product_id] = cause
        for (partition, product_id), cause in touched.items():
            self._publish_row(partition, product_id, cause, out)
        for partition in {partition for partition, _ in touched}:
            for product_id in self._shards[partition].unknown.take_excess():
                self._drop(partition, product_id, out)

    def follow(self, messages: Sequence[AnyMessage], out: Outbox) -> None:
        """Take the catalogue as it is now; lists that hold what vanished, or should hold what appeared, follow."""
        for message in messages:
            change = self._catalogue.put(message.key, message.value)
            if change is None:
                continue
            cause = self._catalogue_cause = Cause.of(message)
            for partition, shard in self._shards.items():
                if change.retired:
                    self._drop(partition, message.key, out)
                elif change.before is None and message.key in shard.rows:
                    shard.unknown.discard(message.key)
                    shard.outdated[message.key] = cause
                if change.appeared or change.vanished:
                    shard.outdated.update(
                        (row.product_id, cause)
                        for row in shard.rows.holders(message.key)
                        if change.appeared or message.key in row.listed_next or message.key in row.listed_together
                    )
        self.poll(out)

    def poll(self, out: Outbox) -> None:
        """List anew some of the products whose lists may have changed with the catalogue."""
        left = self._settings.max_relisted
        for partition, shard in self._shards.items():
            for product_id in list(shard.outdated)[:left]:
                left -= 1
                cause = shard.outdated.pop(product_id)
                row = shard.rows.get(product_id)
                if row is not None and self._publish_lists(row, cause, out):
                    out.publish(row.snapshot(), partition=partition)

    def busy(self) -> bool:
        """True while products wait to be listed anew."""
        return any(shard.outdated for shard in self._shards.values())

    def restore(self, messages: Sequence[AnyMessage]) -> None:
        """Take rows back."""
        for message in messages:
            rows = self._shard(message.partition).rows
            if message.value is None:
                rows.drop(message.key)
            else:
                rows.restore(message.value)

    def restored(self, partitions: Sequence[int], out: Outbox) -> None:
        """The catalogue may have changed meanwhile: drop what was retired, list the rest anew."""
        for partition in partitions:
            shard = self._shard(partition)
            absent = [row for row in shard.rows if row.product_id not in self._catalogue]
            for row in sorted(absent, key=lambda row: (row.event_time_ms, row.product_id)):
                if row.revision > 0:
                    self._drop(partition, row.product_id, out)
                else:
                    shard.unknown.visit(row.product_id)
            shard.outdated.update((row.product_id, self._catalogue_cause) for row in shard.rows)

    def revoke(self, partitions: Sequence[int]) -> None:
        """Forget the rows of these partitions."""
        for partition in partitions:
            self._shards.pop(partition, None)

    def _shard(self, partition: int) -> _Shard:
        shard = self._shards.get(partition)
        if shard is None:
            shard = self._shards[partition] = _Shard(self._settings)
        return shard

    def _publish_row(self, partition: int, product_id: str, cause: Cause, out: Outbox) -> None:
        """Write a row that was touched to the changelog, after those of its lists that changed.

        One of which everything was taken back is no more.
        """
        shard = self._shards[partition]
        shard.outdated.pop(product_id, None)
        row = shard.rows.get(product_id)
        if row is not None and row.is_empty:
            self._drop(partition, product_id, out)
        elif row is not None:
            self._publish_lists(row, cause, out)
            out.publish(row.snapshot(), partition=partition)

    def _publish_lists(self, row: ItemRow, cause: Cause, out: Outbox) -> bool:
        """Publish those of a product's lists that changed; True where one did."""
        if row.product_id not in self._catalogue:
            return False
        next_items = row.next_list(self._rules, self._catalogue.is_recommendable, self._totals)
        together_items = row.together_list(self._rules, self._catalogue.is_recommendable, self._totals)
        listed_next = tuple(item.product_id for item in next_items)
        listed_together = tuple(item.product_id for item in together_items)
        if (listed_next, listed_together) == (row.listed_next, row.listed_together):
            return False
        row.revision += 1
        if listed_next != row.listed_next:
            row.listed_next = listed_next
            _publish(Kind.VIEWED_NEXT, row, next_items, cause, out)
        if listed_together != row.listed_together:
            row.listed_together = listed_together
            _publish(Kind.BOUGHT_TOGETHER, row, together_items, cause, out)
        return True

    def _drop(self, partition: int, product_id: str, out: Outbox) -> None:
        """Forget a product's row and withdraw its lists."""
        shard = self._shards[partition]
        shard.unknown.discard(product_id)
        shard.outdated.pop(product_id, None)
        row = shard.rows.drop(product_id)
        if row is None:
            return
        out.retract(ITEM_STATE, product_id, partition=partition)
        for kind, listed in ((Kind.VIEWED_NEXT, row.listed_next), (Kind.BOUGHT_TOGETHER, row.listed_together)):
            if listed:
                out.retract(RECOMMENDATION_UPDATED, f"{kind}:{product_id}")


def _publish(kind: str, row: ItemRow, items: list[ListedProduct], cause: Cause, out: Outbox) -> None:
    """A list as it is now; one that became empty is withdrawn."""
    if items:
        out.publish(
            RecommendationUpdated(
                kind, row.product_id, row.revision, items, cause.event_time_ms, cause.caused_by, cause.caused_at_ms
            )
        )
    else:
        out.retract(RECOMMENDATION_UPDATED, f"{kind}:{row.product_id}")
