"""Neighbours of products as other stages publish them, decoded where they are first asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from recsys.scoring.slots import Floats, ProductSlots, Slots
from schemas.codec import decoder
from schemas.errors import ContractError
from schemas.events import ItemState, RecommendationUpdated
from schemas.topics import ITEM_STATE, RECOMMENDATION_UPDATED


class Neighbours(NamedTuple):
    """Products and how near they are, best first where that matters."""

    slots: Slots
    scores: Floats


class _Decoded(dict[str, "Neighbours | None"]):
    """Neighbours by product; what is missing is read from the bytes, None where a product has none."""

    def __init__(self, read: Callable[[str], Neighbours | None]) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, product_id: str) -> Neighbours | None:
        return self._read(product_id)


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
        self._viewed = _Decoded(lambda product_id: self._read_row(product_id)[0])
        self._bought = _Decoded(lambda product_id: self._read_row(product_id)[1])
        self._similar = _Decoded(self._read_looks)
        self._decode_row: Callable[[bytes], object] = decoder(ITEM_STATE.name)
        self._decode_list: Callable[[bytes], object] = decoder(RECOMMENDATION_UPDATED.name)

    def put_row(self, product_id: str, item_state: bytes | None) -> None:
        """A product's co-occurrence row as it is now; None where it has none any more."""
        _put(self._rows, product_id, item_state)
        self._viewed.pop(product_id, None)
        self._bought.pop(product_id, None)

    def put_looks(self, product_id: str, recommendation: bytes | None) -> None:
        """A product's list of similar products as it is now."""
        _put(self._looks, product_id, recommendation)
        self._similar.pop(product_id, None)

    @property
    def viewed(self) -> Mapping[str, Neighbours | None]:
        """What is viewed with a product, itself among them: shares of its visits."""
        return self._viewed

    @property
    def bought(self) -> Mapping[str, Neighbours | None]:
        """What is bought with a product: shares of its purchases."""
        return self._bought

    @property
    def similar(self) -> Mapping[str, Neighbours | None]:
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

    def _read_row(self, product_id: str) -> tuple[Neighbours | None, Neighbours | None]:
        if product_id not in self._rows:
            return None, None
        state = self._state(product_id)
        viewed, bought = (None, None) if state is None else self._scores(state)
        self._viewed[product_id], self._bought[product_id] = viewed, bought
        return viewed, bought

    def _read_looks(self, product_id: str) -> Neighbours | None:
        data = self._looks.get(product_id)
        if data is None:
            return None
        try:
            listed = self._decode_list(data)
        except ContractError:
            listed = None
        near = ranked(self._slots, listed) if isinstance(listed, RecommendationUpdated) else None
        self._similar[product_id] = near
        return near

    def _scores(self, state: ItemState) -> tuple[Neighbours | None, Neighbours | None]:
        slots = self._slots.assign(state.companion_ids)
        added = self._scoring.damping * state.unit
        viewed = np.array(state.viewed_after) + self._scoring.before_share * np.array(state.viewed_before)
        bought = np.array(state.bought_together)
        return (
            _positive(slots, viewed / (max(state.visits, 0.0) + added)),
            _positive(slots, bought / (max(state.purchases, 0.0) + added)),
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
