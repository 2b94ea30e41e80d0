"""Products with the very same vector, such as those that share a placeholder picture, or with nearly the same.

They score the same everywhere, so the ids decide between them, and of any number only the first few can stand in
a list. The others are hidden from the search: otherwise each of n such products would be compared with all.
"""

from __future__ import annotations

import hashlib
import struct
from collections import defaultdict
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from recsys.neighbours.index import Vector
from recsys.neighbours.ragged import Ints, Scores


class Duplicates:
    """Knows the rows of equal vectors; only ``limit`` listable ones of each group are not hidden."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rows: defaultdict[bytes, set[int]] = defaultdict(set)
        self._digest_of: dict[int, bytes] = {}
        self._stale: set[bytes] = set()

    def put(self, row: int, vector: Vector, penalty: float, group: bytes) -> None:
        """A row has a new vector, or another penalty."""
        self.discard(row)
        digest = hashlib.blake2b(vector.tobytes() + struct.pack("d", penalty), digest_size=16).digest()
        self._put(row, digest, group)

    def regroup(self, row: int, group: bytes) -> None:
        """A row belongs to another group; rows of different groups are no duplicates of each other."""
        digest = self._digest_of[row][:16]
        self.discard(row)
        self._put(row, digest, group)

    def _put(self, row: int, digest: bytes, group: bytes) -> None:
        digest += group
        self._digest_of[row] = digest
        self._rows[digest].add(row)
        self._stale.add(digest)

    def discard(self, row: int) -> None:
        """A row has no vector any more."""
        digest = self._digest_of.pop(row, None)
        if digest is not None:
            self._rows[digest].discard(row)
            self._stale.add(digest)

    def touch(self, row: int) -> None:
        """A row became listable, or is no longer."""
        self._stale.add(self._digest_of[row])

    def update(self, hidden: NDArray[np.bool_], listable: NDArray[np.bool_], labels: Ints) -> None:
        """Set ``hidden`` for the rows of every group that changed; by label, the smallest are not."""
        for digest in self._stale:
            members = self._rows[digest]
            if not members:
                del self._rows[digest]
                continue
            rows = np.fromiter(members, np.int64, len(members))
            hidden[rows] = False
            rows = rows[listable[rows]]
            if len(rows) > self._limit:
                hidden[rows[np.argsort(labels[rows])[self._limit :]]] = True
        self._stale.clear()


def without_near_duplicates(
    products: NDArray[np.int32],
    scores: Scores,
    twins: Callable[[Ints], NDArray[np.int32]],
    rows: Ints,
    spare: int,
) -> tuple[NDArray[np.int32], Scores]:
    """Lists (n, m) of products, best first, of ``rows`` (n,), without those that show what another one does.

    ``twins`` gives for rows the products of their own lists that show the same, -1 in between. A product goes
    where it shows the same as the list's own, or as one before it that stays. Where that would be more than half
    of a list, its pictures are more alike than the measure tells apart, and only the first ``spare`` go.
    """
    products, scores = products.copy(), scores.copy()
    own = twins(rows)
    gone = (products[:, :, None] == np.where(own >= 0, own, -2)[:, None, :]).any(axis=2)
    members = np.unique(products[products >= 0]).astype(np.int64)
    of_member = twins(members)
    twinned = members[(of_member >= 0).any(axis=1)]
    if len(twinned):
        sets = dict(zip(twinned.tolist(), map(set, twins(twinned).tolist()), strict=True))
        for number in np.flatnonzero(np.isin(products, twinned).sum(axis=1) > 1).tolist():
            kept: set[int] = set()
            for place, product in enumerate(products[number].tolist()):
                if product < 0 or gone[number, place]:
                    continue
                same = sets.get(product, set())
                if same & kept or any(product in sets.get(other, ()) for other in kept):
                    gone[number, place] = True
                else:
                    kept.add(product)
    many = 2 * gone.sum(axis=1, keepdims=True) > (products >= 0).sum(axis=1, keepdims=True)
    gone &= ~many | (gone.cumsum(axis=1) <= spare)
    products[gone], scores[gone] = -1, -np.inf
    order = np.argsort(products < 0, axis=1, kind="stable")
    return np.take_along_axis(products, order, axis=1), np.take_along_axis(scores, order, axis=1)
