"""What every index of neighbours is to the stages, however it searches."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from recsys.neighbours.pairing import Traits

Vector = NDArray[np.float16]


class Neighbour(NamedTuple):
    """A product, and its cosine similarity less its penalty: at most 1."""

    product_id: str
    score: float


@dataclass(frozen=True, slots=True)
class Changes:
    """What a batch comes to, by product; its end is what counts, so a product is removed or has a vector.

    ``vectors`` (float16, all of one length, of length 1 within a hundredth) are those of new products and of
    products that move. ``listable`` says which may stand in lists: a product of which it never said anything may;
    products that the index does not have are passed over. So it is with ``traits``; there are none at first.

    ``penalties`` are taken off a product's score wherever it stands in a list: multiples of 1/256 from 0 to 1,
    which come with its vector; 0 where none is given.
    """

    vectors: Mapping[str, Vector] = field(default_factory=dict)
    removed: Collection[str] = ()
    listable: Mapping[str, bool] = field(default_factory=dict)
    traits: Mapping[str, Traits] = field(default_factory=dict)
    penalties: Mapping[str, float] = field(default_factory=dict)


class NeighbourIndex(Protocol):
    """Keeps for each product the list of its nearest listable ones, best first; of equals the smaller id first.

    Lists depend on the vectors and on what is listable alone, not on how these came to be.
    """

    def __len__(self) -> int:
        """How many products have a vector."""
        ...

    def __contains__(self, product_id: str) -> bool: ...

    def apply(self, changes: Changes) -> None:
        """Take a batch of changes, and bring every list up to date."""
        ...

    def take_changed(self) -> list[str]:
        """Products whose list differs, in products, order or scores, from what it was the last time."""
        ...

    def neighbours(self, product_id: str) -> list[Neighbour]:
        """The product's list; empty for one that the index does not have."""
        ...

    @property
    def recall(self) -> float:
        """Share of the exact lists' products that searches found lately: 1 where they are exact."""
        ...

    def in_degrees(self) -> NDArray[np.int64]:
        """In how many lists each product stands."""
        ...

    def search(self, vectors: Sequence[Vector], count: int) -> list[list[Neighbour]]:
        """The ``count`` nearest listable products of vectors that need not be any product's."""
        ...
