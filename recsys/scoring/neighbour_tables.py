"""Neighbours of products as other stages publish them, decoded where they are first asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from recsys.scoring.slots import Floats, ProductSlots, Slots
from recsys.sessions.ragged_rows import Integers, RaggedRows
from schemas.codec import decoder
from schemas.errors import ContractError
from schemas.events import ItemState, RecommendationUpdated
from schemas.topics import ITEM_STATE, RECOMMENDATION_UPDATED


class Neighbours(NamedTuple):
    """Products and how near they are, best first where that matters."""

    slots: Slots
    scores: Floats


NO_NEIGHBOURS = Neighbours(np.empty(0, np.int32), np.empty(0))


class NeighbourRows:
    """Neighbours of products, read where they are first asked for, in flat columns: 8 bytes a neighbour."""

    def __init__(self, slots: ProductSlots, read: Callable[[Sequence[str]], None]) -> None:
        self._slots = slots
        self._read = read
        self._rows = RaggedRows(np.int32, np.float32, room=0)
        self._is_read = np.zeros(0, bool)

    def put(self, product_ids: Sequence[str], neighbours: Sequence[Neighbours | None]) -> None:
        """Take products' neighbours, None for one that has none."""
        products = self._slots.assign(product_ids).astype(np.int64)
        near = [NO_NEIGHBOURS if found is None else found for found in neighbours]
        counts = np.array([len(found.slots) for found in near], np.int64)
        self._make_room()
        self._rows.put(products, counts, *map(np.concatenate, zip(*near, strict=True)))
        self._is_read[products] = True

    def forget(self, product_id: str) -> None:
        """Have a product's neighbours read anew when they are asked for."""
        (product,) = self._slots.assign([product_id])
        if product < len(self._is_read):
            self._is_read[product] = False

    def of(self, products: Slots) -> tuple[Integers, Slots, Floats]:
        """The neighbours of products, one after the other: how many each has, which, and how near they are.

        A product is -1 where it has no number, and may be there more than once.
        """
        self._make_room()
        known = products >= 0
        wanted = products[known].astype(np.int64)
        missing = np.unique(wanted[~self._is_read[wanted]]).tolist()
        if missing:
            self._read([self._slots.ids[product] for product in missing])
        counts = np.zeros(len(products), np.int64)
        places, counts[known] = self._rows.places(wanted)
        slots, scores = (column[places] for column in self._rows.columns)
        return counts, slots, scores.astype(np.float64)

    def __getitem__(self, product_id: str) -> Neighbours:
        """A product's neighbours, none where it has none."""
        _, slots, scores = self.of(self._slots.numbers([product_id]))
        return Neighbours(slots, scores)

    def _make_room(self) -> None:
        missing = self._slots.capacity - len(self._is_read)
        if missing > 0:
            self._is_read = np.concatenate([self._is_read, np.zeros(missing, bool)])
            self._rows.reserve(self._slots.capacity)


@dataclass(frozen=True, slots=True)
class RowScoring:
    """How an item-state row becomes scores."""

    before_share: float = 0.5
    """What a visit to the companion before the product counts, where one after it counts one."""
    damping: float = 2.0
    """Visits added to the product's own, so that a row of few visits does not speak loudest."""


class NeighbourTables:
    """Co-occurrence rows and lists of looks by product, kept as bytes until a query needs them.

    A stage follows every product of the shop and needs those that its own shoppers visit. Memory: the bytes of
    every record, and the arrays of what was asked for since it last changed.
    """

    def __init__(self, slots: ProductSlots, scoring: RowScoring | None = None) -> None:
        self._slots = slots
        self._scoring = scoring or RowScoring()
        self._rows: dict[str, bytes] = {}
        self._looks: dict[str, bytes] = {}
        self._viewed = NeighbourRows(slots, self._read_rows)
        self._bought = NeighbourRows(slots, self._read_rows)
        self._similar = NeighbourRows(slots, self._read_looks)
        self._decode_row: Callable[[bytes], object] = decoder(ITEM_STATE.name)
        self._decode_list: Callable[[bytes], object] = decoder(RECOMMENDATION_UPDATED.name)

    def put_row(self, product_id: str, item_state: bytes | None) -> None:
        """A product's co-occurrence row as it is now; None where it has none any more."""
        _put(self._rows, product_id, item_state)
        self._viewed.forget(product_id)
        self._bought.forget(product_id)

    def put_looks(self, product_id: str, recommendation: bytes | None) -> None:
        """A product's list of similar products as it is now."""
        _put(self._looks, product_id, recommendation)
        self._similar.forget(product_id)

    @property
    def viewed(self) -> NeighbourRows:
        """What is viewed with a product, itself among them: shares of its visits."""
        return self._viewed

    @property
    def bought(self) -> NeighbourRows:
        """What is bought with a product: shares of its purchases."""
        return self._bought

    @property
    def similar(self) -> NeighbourRows:
        """What looks like a product, by rank: the first counts one, the r-th 1 / r."""
        return self._similar

    def visits(self, product_id: str) -> float:
        """How often a product was visited, visits of long ago counting less; 0.0 where that is not known."""
        state = self._state(product_id)
        return state.visits / state.unit if state is not None and state.unit > 0 else 0.0

    def _state(self, product_id: str) -> ItemState | None:
        data = self._rows.get(product_id)
        try:
            state = None if data is None else self._decode_row(data)
        except ContractError:
            state = None  # its owner writes the dead letter
        return state if isinstance(state, ItemState) else None

    def _read_rows(self, product_ids: Sequence[str]) -> None:
        read = [self._read_row(product_id) for product_id in product_ids]
        for rows, near in zip((self._viewed, self._bought), zip(*read, strict=True), strict=True):
            rows.put(product_ids, near)

    def _read_row(self, product_id: str) -> tuple[Neighbours | None, Neighbours | None]:
        state = self._state(product_id)
        return (None, None) if state is None else self._scores(state)

    def _read_looks(self, product_ids: Sequence[str]) -> None:
        self._similar.put(
            product_ids, [self._read_list(self._looks.get(product_id)) for product_id in product_ids]
        )

    def _read_list(self, data: bytes | None) -> Neighbours | None:
        try:
            listed = None if data is None else self._decode_list(data)
        except ContractError:
            listed = None  # its owner writes the dead letter
        return ranked(self._slots, listed) if isinstance(listed, RecommendationUpdated) else None

    def _scores(self, state: ItemState) -> tuple[Neighbours | None, Neighbours | None]:
        slots = self._slots.assign(state.companion_ids)
        added = self._scoring.damping * state.unit
        viewed = np.array(state.viewed_after) + self._scoring.before_share * np.array(state.viewed_before)
        bought = np.array(state.bought_together)  # empty where nothing was
        return (
            _positive(slots, viewed / (max(state.visits, 0.0) + added)),
            _positive(slots, bought / (max(state.purchases, 0.0) + added)) if len(bought) else None,
        )


def ranked(slots: ProductSlots, listed: RecommendationUpdated) -> Neighbours | None:
    """A list's products, the r-th with a score of 1 / r; None where there are none."""
    product_ids: Sequence[str] = [item.product_id for item in listed.items]
    if not product_ids:
        return None
    return Neighbours(slots.assign(product_ids), 1.0 / np.arange(1, len(product_ids) + 1))


def _positive(slots: Slots, scores: Floats) -> Neighbours | None:
    kept = scores > 0.0
    return Neighbours(slots[kept], scores[kept]) if kept.any() else None


def _put(table: dict[str, bytes], key: str, value: bytes | None) -> None:
    if value is None:
        table.pop(key, None)
    else:
        table[key] = value
