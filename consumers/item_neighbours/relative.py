"""The stage where lists are by a measure that sets co-visits against how often companions are visited as well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from consumers.item_neighbours.settings import ItemNeighbourSettings
from consumers.item_neighbours.stage import ItemNeighboursStage
from consumers.runtime.outbox import Outbox
from consumers.runtime.stage import AnyMessage
from recsys.item_totals import ItemTotals
from schemas.topics import ITEM_STATE


class RelativeItemNeighboursStage(ItemNeighboursStage):
    """Follows all rows besides its own: a companion's total may be in another process's partition.

    A list follows from the totals that are committed when its product's row changes, not from every later one.
    """

    spec = replace(ItemNeighboursStage.spec, tables=(*ItemNeighboursStage.spec.tables, ITEM_STATE))

    def __init__(self, settings: ItemNeighbourSettings | None = None) -> None:
        super().__init__(settings)
        self._totals = self._of_all = ItemTotals()

    def follow(self, messages: Sequence[AnyMessage], out: Outbox) -> None:
        """Take totals as they are now, and the catalogue."""
        for message in messages:
            if message.topic == ITEM_STATE.name:
                if message.value is None:
                    self._of_all.drop(message.key)
                else:
                    row = message.value
                    self._of_all.put(message.key, row.epoch, row.visits, row.purchases)
        super().follow([message for message in messages if message.topic != ITEM_STATE.name], out)
