"""Neighbours among products whose vectors are comparable: an index for each encoder, and which one is served."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from math import inf
from typing import NamedTuple

import numpy as np

from recsys.neighbours.hubness import Correction, learn_correction
from recsys.neighbours.index import Changes, Neighbour, NeighbourIndex, Vector
from recsys.neighbours.pairing import Traits

_AT_ONCE = 1_024
"""Features corrected at once, so that memory stays bounded."""


class Feature(NamedTuple):
    """A vector and the encoder that made it; with what the one before made of the product, if it is kept."""

    encoder_id: str
    vector: Vector
    earlier: Feature | None = None
    tried: str = ""
    """The encoder that was to be used where it could not use the picture; empty where it is this one."""


class _Space(NamedTuple):
    """Vectors that can be compared."""

    encoder_id: str
    dimensions: int


class Condition(NamedTuple):
    """What is to be watched of an index: its recall, and how unevenly its lists are filled."""

    recall: float
    largest_in_degree: int
    in_no_list_share: float


class NeighboursByEncoder:
    """A product stands in the index of each encoder that it has a vector of; its list is that of the one served.

    While a shop changes its encoder, products have vectors of both one after the other. The lists are those of the
    encoder before until the ``wanted`` one has dealt with every product; then all change in one step. A product
    without a vector of the encoder served has the list of its latest one. So no list mixes two encoders.

    Which encoder is served follows from the latest features and from what was served before, which ``serve`` says
    after a restart. Without a ``wanted`` one, each product has the list of its latest encoder.
    ``make_index`` gives an empty index for vectors of so many dimensions. ``learn_at`` are the sizes at which what
    corrects hubs is learnt anew, ascending; lists then depend on what was learnt too, which ``learn`` returns and
    ``correct`` takes back.
    """

    def __init__(
        self,
        make_index: Callable[[int], NeighbourIndex],
        learn_at: Iterable[int] = (),
        wanted: str | None = None,
    ) -> None:
        self._make_index = make_index
        self._learn_at = tuple(learn_at)
        self._wanted = wanted
        self._indexes: dict[_Space, NeighbourIndex] = {}
        self._spaces_of: dict[str, tuple[_Space, ...]] = {}
        self._corrections: dict[str, Correction] = {}
        self._features: defaultdict[_Space, dict[str, Vector]] = defaultdict(dict)
        """As they came, to be corrected anew: 2 bytes a dimension."""
        self._to_do: set[str] = set()
        self._turned = False
        self.served: str | None = None
        """The encoder whose lists are served; None before the first vector, and without a ``wanted`` one."""

    def __len__(self) -> int:
        return len(self._spaces_of)

    def __contains__(self, product_id: str) -> bool:
        return product_id in self._spaces_of

    def __iter__(self) -> Iterator[str]:
        return iter(self._spaces_of)

    def serve(self, encoder_id: str) -> None:
        """Say which encoder readers have the lists of."""
        if self._wanted is not None:
            self.served = encoder_id

    def dimensions(self, encoder_id: str) -> int | None:
        """Length of the vectors that an encoder has made, of most of them; None for one that is not known."""
        sizes = {space: len(index) for space, index in self._indexes.items() if space.encoder_id == encoder_id}
        return max(sizes, key=lambda space: (sizes[space], space)).dimensions if sizes else None

    def encoder_of(self, product_id: str) -> str:
        """The encoder that the product's list is of; empty for one without a feature."""
        space = self._space(product_id)
        return "" if space is None else space.encoder_id

    def misfits(self) -> list[str]:
        """Products whose vectors are of another length than most of their encoder's."""
        usual = {space.encoder_id: self.dimensions(space.encoder_id) for space in self._indexes}
        if len(usual) == len(self._indexes):
            return []
        return [
            product_id
            for product_id, spaces in self._spaces_of.items()
            if any(usual[space.encoder_id] != space.dimensions for space in spaces)
        ]

    def apply(
        self,
        features: Mapping[str, Feature | None],
        listable: Mapping[str, bool],
        traits: Mapping[str, Traits] | None = None,
    ) -> set[str]:
        """Take the latest features, None where there is none any more, and what may stand in lists.

        New products that ``listable`` does not name may. Returns the products that left an index.
        """
        removed: defaultdict[_Space, list[str]] = defaultdict(list)
        vectors: defaultdict[_Space, dict[str, Vector]] = defaultdict(dict)
        for product_id, feature in features.items():
            made = _vectors_of(feature)
            for space in self._spaces_of.pop(product_id, ()):
                if space not in made:
                    removed[space].append(product_id)
            for space, vector in made.items():
                vectors[space][product_id] = vector
            self._note(product_id, feature, made)
        for space in vectors.keys() - self._indexes.keys():
            self._indexes[space] = self._make_index(space.dimensions)
        for space, index in self._indexes.items():
            for product_id in removed[space]:
                self._features[space].pop(product_id, None)
            self._features[space].update(vectors[space])
            corrected, penalties = self._corrected(space, vectors[space])
            index.apply(Changes(corrected, removed[space], listable, traits or {}, penalties))
        return {product_id for ids in removed.values() for product_id in ids}

    @property
    def corrections(self) -> Mapping[str, Correction]:
        """What corrects hubs among the features of each encoder."""
        return self._corrections

    def room(self) -> float:
        """How many features may be taken before something may be due to be learnt; at least 1 after ``learn``."""
        sizes = ((self._due_at(space.encoder_id), len(features)) for space, features in self._features.items())
        return min([self._due_at(""), *(due - size for due, size in sizes)])

    def learn(self) -> dict[str, Correction]:
        """Learn, for the encoders with so many features that it is due; returns what was learnt."""
        learnt: dict[str, Correction] = {}
        for space, features in self._features.items():
            if len(features) >= self._due_at(space.encoder_id):
                learnt[space.encoder_id] = learn_correction(features)
        for encoder_id, correction in learnt.items():
            self.correct(encoder_id, correction)
        return learnt

    def correct(self, encoder_id: str, correction: Correction | None) -> None:
        """Take what was learnt earlier, None for nothing; every list of the encoder follows."""
        if correction is None:
            self._corrections.pop(encoder_id, None)
        else:
            self._corrections[encoder_id] = correction
        for space, index in self._indexes.items():
            if space.encoder_id == encoder_id:
                vectors, penalties = self._corrected(space, self._features[space])
                index.apply(Changes(vectors, penalties=penalties))

    def settle(self) -> None:
        """Serve the wanted encoder if it has dealt with every product; call it when a batch has been applied."""
        if self._wanted is None or self.served == self._wanted or not self._indexes:
            return
        counts: Counter[str] = Counter()
        for space, index in self._indexes.items():
            counts[space.encoder_id] += len(index)
        best = self.served if counts[self.served or ""] else max(counts, key=lambda one: (counts[one], one))
        chosen = self._wanted if counts[self._wanted] and not self._to_do else best
        if chosen != self.served:
            self._turned = self.served is not None
            self.served = chosen

    def take_changed(self) -> list[str]:
        """Products whose list differs from what it was the last time; an index left empty is dropped."""
        changed = {
            product_id
            for space, index in self._indexes.items()
            for product_id in index.take_changed()
            if self._space(product_id) in (space, None)
        }
        for space in [space for space, index in self._indexes.items() if not len(index)]:
            del self._indexes[space], self._features[space]
        if self._turned:
            self._turned = False
            changed.update(self._spaces_of)
        return list(changed)

    def condition(self) -> Condition | None:
        """How the largest index stands; None where there is none. Takes a moment for many products."""
        index = max(self._indexes.values(), key=len, default=None)
        if index is None or not len(index):
            return None
        counts = index.in_degrees()
        return Condition(index.recall, int(counts.max()), float((counts == 0).mean()))

    def neighbours(self, product_id: str) -> list[Neighbour]:
        """The product's list; empty for one without a feature."""
        space = self._space(product_id)
        return [] if space is None else self._indexes[space].neighbours(product_id)

    def _due_at(self, encoder_id: str) -> float:
        correction = self._corrections.get(encoder_id)
        learnt_from = 0 if correction is None else correction.products
        return next((size for size in self._learn_at if size > learnt_from), inf)

    def _corrected(
        self, space: _Space, vectors: Mapping[str, Vector]
    ) -> tuple[Mapping[str, Vector], dict[str, float]]:
        correction = self._corrections.get(space.encoder_id)
        if correction is None or correction.dimensions != space.dimensions or not vectors:
            return vectors, {}
        corrected: dict[str, Vector] = {}
        penalties: dict[str, float] = {}
        ids = list(vectors)
        for at in range(0, len(ids), _AT_ONCE):
            part = ids[at : at + _AT_ONCE]
            rows, taken_off = correction(np.stack([vectors[product_id] for product_id in part]))
            corrected.update(zip(part, rows, strict=True))
            penalties.update(zip(part, taken_off.tolist(), strict=True))
        return corrected, penalties

    def _note(self, product_id: str, feature: Feature | None, made: Mapping[_Space, Vector]) -> None:
        self._to_do.discard(product_id)
        if feature is None:
            return
        self._spaces_of[product_id] = tuple(made)
        if self._wanted not in {feature.tried, *(space.encoder_id for space in made)}:
            self._to_do.add(product_id)

    def _space(self, product_id: str) -> _Space | None:
        """Where the product's list is from: the encoder served, else its latest one."""
        spaces = self._spaces_of.get(product_id)
        if not spaces:
            return None
        return next((space for space in spaces if space.encoder_id == self.served), spaces[0])


def _vectors_of(feature: Feature | None) -> dict[_Space, Vector]:
    """The latest one first."""
    made: dict[_Space, Vector] = {}
    while feature is not None:
        made.setdefault(_Space(feature.encoder_id, len(feature.vector)), feature.vector)
        feature = feature.earlier
    return made
