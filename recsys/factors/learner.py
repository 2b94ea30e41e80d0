"""Implicit ALS that learns with every batch of visits: shoppers and items that changed are solved again.

What changed is solved exactly, given the rest; besides, a bounded number of others takes turns, so that everything
follows what was learnt since, without a refit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recsys.factors.features import FeatureVectors
from recsys.factors.initial import initial_vectors
from recsys.factors.solving import Vectors, Visited, portions, regularised, solve
from recsys.factors.space import VectorSpace
from recsys.sessions.index import SessionIndex, SessionRules, Sessions
from recsys.sessions.ragged_rows import Integers
from recsys.sessions.subjects import subject_hash

_MAX_USER_FEATURES = 5_000
"""Features of profiles that are told apart, those that came first: their vectors fit into one message."""
_FIT_SHARE = 0.1
"""Features are fitted anew once so large a share of all vectors was solved."""


@dataclass(frozen=True, slots=True)
class FactorRules:
    """The model, and how much is solved at most."""

    factors: int = 32
    alpha: float = 2.0
    """How much more a visit says than none does."""
    regularisation: float = 10.0
    item_ridge: float = 30.0
    """Pull of the vectors of items' features towards zero."""
    user_ridge: float = 100.0
    """The same for shoppers'."""
    recent_users: int = 500
    """Shoppers that an item follows from, those who visited it last."""
    turns: float = 0.25
    """Items that take their turn for each that changed, and shoppers in proportion."""
    tolerance: float = 0.02
    """How far a vector moves, as a share of its length, until it counts as moved."""


class Moved(NamedTuple):
    """Items whose vectors are others than when they were last taken."""

    product_ids: Sequence[str]
    vectors: NDArray[np.float32]


class FactorLearner:
    """Vectors of items and of shoppers.

    Memory: 2 bytes a factor and shopper, 6 a factor and item, and the visits. Shoppers' vectors have three digits.
    """

    def __init__(self, rules: FactorRules | None = None, session_rules: SessionRules | None = None) -> None:
        self._rules = rules or FactorRules()
        self.index = SessionIndex(session_rules, weighed=True)
        self.items = VectorSpace(self._rules.factors)
        self.users = VectorSpace(self._rules.factors, np.float16)
        self.item_features: FeatureVectors[str] = FeatureVectors(self._rules.factors, self._rules.item_ridge)
        self.user_features: FeatureVectors[int] = FeatureVectors(
            self._rules.factors, self._rules.user_ridge, _MAX_USER_FEATURES
        )
        self._taken_profile: Vectors = np.zeros((1, self._rules.factors))
        self._solved = 0
        """Vectors solved since features were fitted."""
        self._ids: list[str] = []
        self._numbers: dict[str, int] = {}
        self._taken: NDArray[np.float16] = np.zeros((0, self._rules.factors), np.float16)
        """Vectors as they were last taken, to three digits: enough to tell how far they have moved."""
        self._touched: NDArray[np.bool_] = np.zeros(0, bool)
        self._item_turn = 0
        self._user_turn = 0

    def __len__(self) -> int:
        """How many items there are."""
        return len(self._ids)

    def assign(self, product_ids: Sequence[str]) -> NDArray[np.int32]:
        """The items' numbers; new ones get their first vectors."""
        numbers = self._numbers
        new = [product_id for product_id in dict.fromkeys(product_ids) if product_id not in numbers]
        if new:
            first = len(self._ids)
            numbers.update(zip(new, range(first, first + len(new)), strict=True))
            self._ids += new
            self._put_items(np.arange(first, len(self._ids)), initial_vectors(new, self._rules.factors))
        return np.fromiter((numbers[product_id] for product_id in product_ids), np.int32, len(product_ids))

    @property
    def rules(self) -> FactorRules:
        """The model."""
        return self._rules

    @property
    def item_bytes(self) -> int:
        """Bytes that all vectors of items take."""
        return self.items.vectors.nbytes + self._taken.nbytes

    @property
    def product_ids(self) -> Sequence[str]:
        """The items by their numbers."""
        return self._ids

    def vector(self, product_id: str) -> NDArray[np.float32] | None:
        """An item's vector; None for one that was never seen."""
        number = self._numbers.get(product_id)
        return None if number is None else self.items.vectors[number]

    def restore(self, product_id: str, vector: NDArray[np.float32]) -> None:
        """Go on from a vector that was taken before a restart."""
        number = self.assign([product_id])
        self.items.put(number.astype(np.int64), vector[None, :].astype(np.float64))
        self._taken[number] = vector
        self._touched[number] = False

    def learn(self, sessions: Sessions) -> None:
        """Take sessions as they are now, each subject once, their items by ``assign``; without items: forget."""
        changes = self.index.put(sessions)
        self.solve_users(changes.sessions)
        self.solve_items(changes.items)
        self.take_turns(round(self._rules.turns * len(changes.items)))
        self._solved += len(changes.items) + len(changes.sessions)
        if self._solved > _FIT_SHARE * (len(self._ids) + len(self.index)):
            self.fit_features()

    def put_item_features(self, product_id: str, features: Sequence[str]) -> None:
        """Take what is known of a product; until it is visited, its vector is what that leads to expect."""
        self.item_features.put(product_id, features)
        self._expect([product_id])

    def put_user_features(self, subject: str, features: Sequence[str]) -> None:
        """Take what is known of a shopper; their vector follows when they are solved next."""
        self.user_features.put(subject_hash(subject), features)

    def expected_users(self, subjects: Sequence[str]) -> Vectors:
        """What is expected of shoppers by their features, whether they visited anything or not."""
        return self.user_features.expected([subject_hash(subject) for subject in subjects])

    def fit_features(self) -> None:
        """Fit what features lead to expect to what was learnt, and expect it of products without visits."""
        self._solved = 0
        self._fit_items()
        self._fit_users()

    def _fit_items(self) -> None:
        if len(self.item_features):
            visits = self.index.popularity(np.arange(len(self._ids)))
            visited = np.flatnonzero(visits)
            vectors = self.items.vectors[visited].astype(np.float64)
            self.item_features.fit([self._ids[n] for n in visited.tolist()], vectors, visits[visited])
            self._expect(list(self.item_features))

    def _fit_users(self) -> None:
        if len(self.user_features):
            numbers = self.index.used()
            vectors = self.users.vectors[numbers].astype(np.float64)
            visits = self.index.visits.lengths[numbers].astype(np.int64)
            self.user_features.fit(self.index.names(numbers), vectors, visits)

    def _expect(self, product_ids: Sequence[str]) -> None:
        """Give products without visits the vectors that their features lead to expect, where that is anything."""
        if self.item_features.fitted:
            numbers = self.assign(product_ids).astype(np.int64)
            unvisited = self.index.popularity(numbers) == 0
            names = [self._ids[number] for number in numbers[unvisited].tolist()]
            self._put_items(numbers[unvisited], self.item_features.expected(names))

    def remember(self, sessions: Sessions) -> None:
        """Take sessions back after a restart; ``recall`` learns from them, once all are there."""
        self.index.put(sessions)

    def recall(self) -> None:
        """Solve all shoppers, from the vectors that were restored, and the items that have none of those."""
        self._fit_items()
        self.solve_users(self.index.used())
        visited = np.flatnonzero(self.index.popularity(np.arange(len(self._ids))))
        self.solve_items(visited[~self._taken[visited].any(axis=1)])
        self._fit_users()

    def take_turns(self, items: int) -> None:
        """Solve so many items that have waited longest, after as large a share of the shoppers."""
        if items > 0:
            every = self.index.numbers
            users, self._user_turn = _turns(self._user_turn, -(-items * every // len(self._ids)), every)
            numbers, self._item_turn = _turns(self._item_turn, items, len(self._ids))
            self.solve_users(users)
            self.solve_items(numbers)

    def take_moved(self) -> Moved:
        """Items whose vectors moved since they were last taken; they are taken with this."""
        numbers = np.flatnonzero(self._touched)
        self._touched[numbers] = False
        new, old = self.items.vectors[numbers], self._taken[numbers].astype(np.float32)
        far = np.linalg.norm(new - old, axis=1) > self._rules.tolerance * np.linalg.norm(old, axis=1)
        numbers, new = numbers[far], new[far]
        self._taken[numbers] = new
        return Moved([self._ids[number] for number in numbers.tolist()], new)

    def restore_profile(self, features: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Go on from vectors of profiles' features that were taken before a restart."""
        self.user_features.restore(features, vectors.astype(np.float64))
        self._taken_profile = self.user_features.vectors.copy()

    def take_profile(self) -> tuple[list[str], NDArray[np.float32]] | None:
        """Features of profiles and their vectors, where those moved since they were last taken."""
        new, old = self.user_features.vectors, self._taken_profile
        padded = np.zeros_like(new)
        padded[: len(old)] = old
        if not np.linalg.norm(new - padded) > self._rules.tolerance * np.linalg.norm(old):
            return None
        self._taken_profile = new.copy()
        return self.user_features.features, new.astype(np.float32)

    def adopt(self, product_ids: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Go over to the vectors of another fit: those of shoppers and of other items follow from them.

        Nothing of the vectors before is left, for those of two fits cannot be compared.
        """
        known = self.assign(product_ids).astype(np.int64)
        every = np.arange(len(self._ids))
        self._put_items(every, np.zeros((len(every), self._rules.factors)))
        self._put_items(known, vectors.astype(np.float64))
        self.item_features.reset()
        self.user_features.reset()
        self.solve_users(self.index.used())
        others = np.setdiff1d(every, known)
        self.solve_items(others[self.index.popularity(others) > 0])
        self.fit_features()

    def take_all(self) -> Moved:
        """All items, whether their vectors moved or not; they are taken with this."""
        self._touched[:] = False
        every = len(self._ids)
        self._taken[:every] = self.items.vectors[:every]
        return Moved(self._ids[:], self.items.vectors[:every].copy())

    def solve_users(self, numbers: Integers) -> None:
        """Solve these shoppers, given the items."""
        self.users.reserve(len(self.index.latest_s))
        gram = regularised(self.items.gram, self._rules.regularisation)
        for some in portions(numbers, self.index.visits.lengths[numbers]):
            counts, items, strengths = self.index.visited(some)
            visited = Visited(counts, self.items.vectors[items].astype(np.float64), strengths.astype(np.float64))
            expected = None
            if len(self.user_features):
                expected = self.user_features.expected(self.index.names(some))
            self.users.put(some, solve(gram, visited, self._rules.alpha, expected))

    def solve_items(self, numbers: Integers) -> None:
        """Solve these items, given the shoppers who visited them last."""
        self.index.reserve_items(len(self._ids))
        most = self._rules.recent_users
        gram = regularised(self.users.gram, self._rules.regularisation)
        for some in portions(numbers, np.minimum(self.index.popularity(numbers), most)):
            counts, users, strengths = self.index.visitors(some, most)
            visited = Visited(counts, self.users.vectors[users].astype(np.float64), strengths.astype(np.float64))
            expected = None
            if len(self.item_features):
                expected = self.item_features.expected([self._ids[n] for n in some.tolist()])
            self._put_items(some, solve(gram, visited, self._rules.alpha, expected))

    def _put_items(self, numbers: Integers, vectors: Vectors) -> None:
        self.items.reserve(len(self._ids))
        missing = len(self.items) - len(self._taken)
        if missing:
            self._taken = np.concatenate([self._taken, np.zeros((missing, self._rules.factors), np.float16)])
            self._touched = np.concatenate([self._touched, np.zeros(missing, bool)])
        self.items.put(numbers, vectors)
        self._touched[numbers] = True


def _turns(turn: int, some: int, every: int) -> tuple[Integers, int]:
    """The next numbers of a circle, and the turn after them."""
    some = min(some, every)
    return (turn + np.arange(some)) % every, (turn + some) % every
