"""Products with the very same vector, such as those that share a placeholder picture.

They score the same everywhere, so the ids decide between them, and of any number only the first few can stand in
a list. The others are hidden from the search: otherwise each of n such products would be compared with all.
"""

from __future__ import annotations

import hashlib
import struct
from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from recsys.neighbours.index import Vector
from recsys.neighbours.ragged import Ints


class Duplicates:
    """Knows the rows of equal vectors; only ``limit`` listable ones of each group are not hidden."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rows: defaultdict[bytes, set[int]] = defaultdict(set)
        self._digest_of: dict[int, bytes] = {}
        self._stale: set[bytes] = set()

    def put(self, row: int, vector: Vector, penalty: float) -> None:
        """A row has a new vector, or another penalty."""
        self.discard(row)
        digest = hashlib.blake2b(vector.tobytes() + struct.pack("d", penalty), digest_size=16).digest()
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
