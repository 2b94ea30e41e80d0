"""Neighbours among the products whose vectors are comparable: an index for each encoder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from recsys.neighbours.index import Changes, Neighbour, NeighbourIndex, Vector


class Feature(NamedTuple):
    """A vector, and the encoder that made it."""

    encoder_id: str
    vector: Vector


class _Space(NamedTuple):
    """Vectors that can be compared."""

    encoder_id: str
    dimensions: int


class NeighboursByEncoder:
    """Each product stands in the index of its latest feature's encoder; lists hold products of the same one.

    So the lists depend on the latest features alone, and while a shop changes its encoder no list mixes two.
    ``make_index`` gives an empty index for vectors of so many dimensions.
    """

    def __init__(self, make_index: Callable[[int], NeighbourIndex]) -> None:
        self._make_index = make_index
        self._indexes: dict[_Space, NeighbourIndex] = {}
        self._space_of: dict[str, _Space] = {}

    def __len__(self) -> int:
        return len(self._space_of)

    def __contains__(self, product_id: str) -> bool:
        return product_id in self._space_of

    def __iter__(self) -> Iterator[str]:
        return iter(self._space_of)

    def dimensions(self, encoder_id: str) -> int | None:
        """Length of the vectors that an encoder has made, of most of them; None for one that is not known."""
        sizes = {space: len(index) for space, index in self._indexes.items() if space.encoder_id == encoder_id}
        return max(sizes, key=lambda space: (sizes[space], space)).dimensions if sizes else None

    def misfits(self) -> list[str]:
        """Products whose vectors are of another length than most of their encoder's."""
        usual = {space.encoder_id: self.dimensions(space.encoder_id) for space in self._indexes}
        if len(usual) == len(self._indexes):
            return []
        return [product_id for product_id, space in self._space_of.items() if usual[space[0]] != space.dimensions]

    def apply(
        self,
        features: Mapping[str, Feature | None],
        listable: Mapping[str, bool],
        categories: Mapping[str, str] | None = None,
    ) -> set[str]:
        """Take the latest features, None where there is none any more, and what may stand in lists.

        New products that ``listable`` does not name may. Returns the products that left an index.
        """
        removed: defaultdict[_Space, list[str]] = defaultdict(list)
        vectors: defaultdict[_Space, dict[str, Vector]] = defaultdict(dict)
        for product_id, feature in features.items():
            space = None if feature is None else _Space(feature.encoder_id, len(feature.vector))
            before = self._space_of.get(product_id)
            if before is not None and before != space:
                removed[before].append(product_id)
                del self._space_of[product_id]
            if space is not None and feature is not None:
                vectors[space][product_id] = feature.vector
                self._space_of[product_id] = space
        for space in vectors.keys() - self._indexes.keys():
            self._indexes[space] = self._make_index(space.dimensions)
        for space, index in self._indexes.items():
            index.apply(Changes(vectors[space], removed[space], listable, categories or {}))
        return {product_id for ids in removed.values() for product_id in ids}

    def take_changed(self) -> list[str]:
        """Products whose list differs from what it was the last time; an index left empty is dropped."""
        changed = [product_id for index in self._indexes.values() for product_id in index.take_changed()]
        self._indexes = {space: index for space, index in self._indexes.items() if len(index)}
        return changed

    def neighbours(self, product_id: str) -> list[Neighbour]:
        """The product's list; empty for one without a feature."""
        space = self._space_of.get(product_id)
        return [] if space is None else self._indexes[space].neighbours(product_id)
