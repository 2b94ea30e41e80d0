"""What lists are compared with: textbook recommenders in plain code, learnt in one go, slow and easy to check.

The hold-out baselines score users × items, the session baselines score the items that may come next in a session.
"""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def popularity(train: sp.csr_array) -> Floats:
    """Users × items: how many users have the item."""
    counts = np.asarray(train.sum(axis=0), np.float64).ravel()
    return np.tile(counts, (train.shape[0], 1))


def item_knn(train: sp.csr_array, neighbours: int = 99) -> Floats:
    """Cosine item-kNN (Sarwar et al., WWW 2001): sums of similarities to what the user has.

    Each item speaks for its nearest ``neighbours``; ties go to the smaller item.
    """
    dense = train.toarray().astype(np.float64)
    norms = np.sqrt(np.maximum(dense.sum(axis=0), 1e-9))
    similarity = (dense.T @ dense) / np.outer(norms, norms)
    np.fill_diagonal(similarity, 0.0)
    farther = np.argsort(-similarity, axis=1, kind="stable")[:, neighbours:]
    np.put_along_axis(similarity, farther, 0.0, axis=1)
    return np.asarray(dense @ similarity)


def ease(train: sp.csr_array, regularisation: float = 200.0) -> Floats:
    """EASE (Steck, WWW 2019): the closed-form linear autoencoder."""
    dense = train.toarray().astype(np.float64)
    inverse = np.linalg.inv(dense.T @ dense + regularisation * np.eye(dense.shape[1]))
    weights = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return np.asarray(dense @ weights)


class SessionPopularity:
    """The items clicked most, whatever the session."""

    def __init__(self, sessions: Sequence[Sequence[str]]) -> None:
        self._clicks: dict[str, float] = defaultdict(float)
        for clicks in sessions:
            for item in clicks:
                self._clicks[item] += 1.0

    def scores(self, known: Sequence[str]) -> Mapping[str, float]:
        """Score of each item that may come next."""
        return self._clicks


class SequentialRules:
    """Sequential rules (Ludewig & Jannach, UMUAI 2018): what follows the last item, 1 / distance each time."""

    def __init__(self, sessions: Sequence[Sequence[str]], reach: int = 10) -> None:
        self._rules: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        for clicks in sessions:
            for place, item in enumerate(clicks):
                for distance in range(1, min(reach, place) + 1):
                    self._rules[clicks[place - distance]][item] += 1.0 / distance

    def scores(self, known: Sequence[str]) -> Mapping[str, float]:
        """Score of each item that may come next."""
        return self._rules.get(known[-1], {})


class VmisKnn:
    """VMIS-kNN (Kersbergen et al., SIGMOD 2022), with the sessions in order of their last click.

    Of the last ``latest`` clicks, the r-th distinct item from the last, of n, adds (n - r + 1) / n to the
    similarity of each of the ``sample`` most recent sessions that have it. An item of a neighbour counts
    similarity × (1 - 0.1 × r of the latest shared item) × ln(sessions / those that have the item).
    """

    def __init__(
        self, sessions: Sequence[Sequence[str]], sample: int = 500, neighbours: int = 100, latest: int = 10
    ) -> None:
        self._items = [list(dict.fromkeys(clicks)) for clicks in sessions]
        self._neighbours = neighbours
        self._latest = latest
        having: dict[str, list[int]] = defaultdict(list)
        for number, items in enumerate(self._items):
            for item in items:
                having[item].append(number)
        self._idf = {item: math.log(len(sessions) / len(numbers)) for item, numbers in having.items()}
        self._recent = {item: numbers[-sample:] for item, numbers in having.items()}

    def scores(self, known: Sequence[str]) -> Mapping[str, float]:
        """Score of each item that may come next."""
        distinct = list(dict.fromkeys(reversed(known[-self._latest :])))
        similarity: dict[int, float] = defaultdict(float)
        shared: dict[int, int] = {}
        for place, item in enumerate(distinct):
            for number in self._recent.get(item, ()):
                similarity[number] += 1.0 - place / len(distinct)
                shared.setdefault(number, place)
        scores: dict[str, float] = defaultdict(float)
        nearest = heapq.nlargest(self._neighbours, similarity, key=lambda number: (similarity[number], number))
        for number in nearest:
            weight = similarity[number] * (0.9 - 0.1 * shared[number])
            for item in self._items[number]:
                scores[item] += weight * self._idf[item]
        return scores
