"""Products that nobody has measured yet: new ones, until enough shoppers visited them or time is up."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from hashlib import blake2b
from heapq import nsmallest

import numpy as np
from numpy.typing import NDArray

from recsys.scoring.slots import ProductSlots
from schemas.events import ProductCreated

_MULTIPLIER = np.uint64(0x9E37_79B9_7F4A_7C15)
_SHIFT = np.uint64(32)


@dataclass(frozen=True, slots=True)
class ExplorationRules:
    """Which products are tried out, and in how many places of a list."""

    slots: int = 0
    """Places of a list that are given to new products; 0 for none."""
    max_age_ms: int = 14 * 86_400_000
    """Age at which a product is tried out no more."""
    measured_visits: float = 30.0
    """Visits, those of long ago counting less, after which a product is measured."""
    max_products: int = 500
    """New products that are tried out at once, those published last."""


class NewProducts:
    """The pool of what is tried out. Each shopper is given the products that a hash of both chooses.

    So the same list comes out however often it is made, every product has its share of the shoppers, and nothing
    has to be kept. A product's age is that of its last publication.
    """

    def __init__(self, rules: ExplorationRules, slots: ProductSlots) -> None:
        self._rules = rules
        self._slots = slots
        self._published_ms: dict[str, int] = {}
        self._measured: set[str] = set()
        self._pool: NDArray[np.int64] | None = None
        self._times_ms: NDArray[np.int64] = np.zeros(0, np.int64)

    def put_product(self, product_id: str, product: ProductCreated | None) -> None:
        """Take a product as it is now."""
        if self._rules.slots:
            self._pool = None
            if product is None:
                self._published_ms.pop(product_id, None)
                self._measured.discard(product_id)
            else:
                self._published_ms[product_id] = product.event_time_ms

    def is_measured(self, product_id: str) -> bool:
        """True for a product that enough shoppers visited; it stays so until it is retired."""
        return product_id in self._measured

    def put_visits(self, product_id: str, visits: float) -> None:
        """Take how often a product was visited."""
        if visits >= self._rules.measured_visits:
            self._pool = None
            self._measured.add(product_id)

    def choose(self, subject: str, now_ms: int, n: int, excluded: Collection[str]) -> list[str]:
        """At most ``n`` of the products that are tried out, those that the hash gives to this shopper.

        ``now_ms`` is the time of what the shopper did last; no earlier than the last publication of a product.
        """
        pool = self._in_pool()
        if n < 1 or not len(pool):
            return []
        now_ms = max(now_ms, int(self._times_ms.max()))
        pool = pool[self._times_ms > now_ms - self._rules.max_age_ms]
        own = int.from_bytes(blake2b(subject.encode(), digest_size=8).digest(), "little")
        mixed = (self._slots.ties[pool] ^ np.uint64(own)) * _MULTIPLIER
        mixed ^= mixed >> _SHIFT
        ids, recommendable = self._slots.ids, self._slots.recommendable
        chosen: list[str] = []
        for slot in pool[np.argsort(mixed, kind="stable")].tolist():
            if recommendable[slot] and ids[slot] not in excluded:
                chosen.append(ids[slot])
                if len(chosen) == n:
                    break
        return chosen

    def _in_pool(self) -> NDArray[np.int64]:
        """Slots of the products published last that are not measured."""
        if self._pool is None:
            every = (item for item in self._published_ms.items() if item[0] not in self._measured)
            waiting = nsmallest(self._rules.max_products, every, key=lambda item: (-item[1], item[0]))
            self._pool = self._slots.assign([product_id for product_id, _ in waiting]).astype(np.int64)
            self._times_ms = np.array([at_ms for _, at_ms in waiting], np.int64)
        return self._pool
