"""What a catalogue knows of its products that a network can learn from: categories, attributes, and pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from producers.catalogue import Catalogue
from producers.clickstream import Clickstream
from producers.tables import AcceptedRow
from schemas.events import ProductCreated, Purchase
from training.errors import TooFewProductsError

SPLIT_COLUMN = "split"
MAX_PRODUCTS = 20_000
"""Products that are learnt from at most, chosen at random beyond that."""

_LEAST_PRODUCTS = 20
_LEAST_OF_A_VALUE = 5
_MOST_VALUES = 200
_SESSION_GAP_MS = 30 * 60_000
_MOST_PAIRS = 200_000

Labels = NDArray[np.int32]
"""The number of each product's value; -1 where it has none."""


@dataclass(frozen=True, slots=True)
class Products:
    """Products to learn from, in a fixed order."""

    ids: Sequence[str]
    image_urls: Sequence[str]
    images_dir: Path
    labels: Mapping[str, Labels]
    """By property: ``category``, and the attributes that several products share."""
    values: Mapping[str, Sequence[str]]
    """What the numbers of a property mean."""
    pairs: NDArray[np.int32] = field(default_factory=lambda: np.empty((0, 2), np.int32))
    """Products viewed one after the other, or bought together, by position."""

    def __len__(self) -> int:
        return len(self.ids)


def read_products(catalog: Path, split: str, events: Path | None, seed: int) -> Products:
    """The products with a picture; those of one split alone where the catalogue has a ``split`` column.

    ``events`` is a clickstream as ``recsys publish events`` takes it. Raises ``TooFewProductsError``.
    """
    source = Catalogue(catalog, event_time_ms=0)
    rows = [row.event for row in source.rows() if isinstance(row, AcceptedRow) and row.event.image_url]
    if any(SPLIT_COLUMN in row.attributes for row in rows):
        rows = [row for row in rows if row.attributes.get(SPLIT_COLUMN) == split]
    if len(rows) < _LEAST_PRODUCTS:
        raise TooFewProductsError(
            f"{catalog} has {len(rows)} products with a picture to learn from; {_LEAST_PRODUCTS} are needed"
        )
    if len(rows) > MAX_PRODUCTS:
        chosen = np.random.default_rng(seed).choice(len(rows), MAX_PRODUCTS, replace=False)
        rows = [rows[number] for number in sorted(chosen)]
    labels, values = _labels(rows)
    pairs = _pairs(events, {row.product_id: at for at, row in enumerate(rows)}) if events else _no_pairs()
    if not labels and not len(pairs):
        raise TooFewProductsError(
            f"nothing is known of the products of {catalog}: give a category column, attributes, or --events"
        )
    urls = [row.image_url or "" for row in rows]
    return Products([row.product_id for row in rows], urls, source.images_dir, labels, values, pairs)


def _labels(rows: Sequence[ProductCreated]) -> tuple[dict[str, Labels], dict[str, Sequence[str]]]:
    columns = {"category": [row.category for row in rows]}
    for name in sorted({name for row in rows for name in row.attributes} - {SPLIT_COLUMN}):
        columns[name] = [row.attributes.get(name, "") for row in rows]
    labels: dict[str, Labels] = {}
    values: dict[str, Sequence[str]] = {}
    for name, cells in columns.items():
        counts = Counter(cell for cell in cells if cell)
        common = sorted(value for value, count in counts.items() if count >= _LEAST_OF_A_VALUE)
        if 2 <= len(common) <= _MOST_VALUES:
            number = {value: at for at, value in enumerate(common)}
            labels[name] = np.array([number.get(cell, -1) for cell in cells], np.int32)
            values[name] = common
    return labels, values


def _no_pairs() -> NDArray[np.int32]:
    return np.empty((0, 2), np.int32)


def _pairs(path: Path, position: Mapping[str, int]) -> NDArray[np.int32]:
    """What a shopper did next within half an hour; two purchases make a pair like two views."""
    last: dict[tuple[str, bool], tuple[int, int]] = {}
    pairs: set[tuple[int, int]] = set()
    events = [row.event for row in Clickstream(path).rows() if isinstance(row, AcceptedRow)]
    for event in sorted(events, key=lambda one: one.event_time_ms):
        at = position.get(event.product_id)
        if at is None:
            continue
        who = (event.subject, isinstance(event, Purchase))
        before = last.get(who)
        last[who] = (at, event.event_time_ms)
        if before is not None and before[0] != at and event.event_time_ms - before[1] <= _SESSION_GAP_MS:
            pairs.add((min(before[0], at), max(before[0], at)))
        if len(pairs) >= _MOST_PAIRS:
            break
    return np.array(sorted(pairs), np.int32).reshape(-1, 2)
