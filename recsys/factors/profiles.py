"""What a user's profile leads to expect of their taste, from the vectors of its features as published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from recsys.factors.attributes import attribute_features
from schemas.events import ProfileFactors

Floats = NDArray[np.float64]

_MAX_KEPT = 10_000
"""Profiles whose vectors are kept at hand; where there are more, all are made anew."""


class ProfileVectors:
    """Adds up the vectors of a profile's features, and of what every profile has; an empty one expects nothing."""

    def __init__(self, published: ProfileFactors) -> None:
        self.generation = published.generation
        self._numbers = {feature: number for number, feature in enumerate(published.features)}
        factors = len(published.vectors) // 4 // max(1, len(self._numbers))
        vectors = np.frombuffer(published.vectors, "<f4", len(self._numbers) * factors)
        self._vectors: Floats = vectors.astype(np.float64).reshape(len(self._numbers), factors)
        self._kept: dict[tuple[tuple[str, str], ...], Floats] = {}

    @property
    def factors(self) -> int:
        """Length of a vector."""
        return int(self._vectors.shape[1])

    def expected(self, profiles: Sequence[Mapping[str, str]]) -> Floats:
        """What to expect, shape (profiles, factors)."""
        found = np.zeros((len(profiles), self.factors))
        for place, profile in enumerate(profiles):
            if profile:
                found[place] = self._of(profile)
        return found

    def _of(self, profile: Mapping[str, str]) -> Floats:
        key = tuple(profile.items())
        vector = self._kept.get(key)
        if vector is None:
            features = ("", *dict.fromkeys(attribute_features(profile)))
            known = [self._numbers[feature] for feature in features if feature in self._numbers]
            vector = np.asarray(self._vectors[known].sum(axis=0))
            if len(self._kept) >= _MAX_KEPT:
                self._kept.clear()
            self._kept[key] = vector
        return vector
