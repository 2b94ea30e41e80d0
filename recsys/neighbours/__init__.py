"""Nearest neighbours of unit vectors, kept up to date as products come, move and go."""

from recsys.neighbours.approximate import ApproximateIndex, ApproximateSettings
from recsys.neighbours.exact import ExactIndex, ExactSettings
from recsys.neighbours.index import Changes, Neighbour, NeighbourIndex

__all__ = [
    "ApproximateIndex",
    "ApproximateSettings",
    "Changes",
    "ExactIndex",
    "ExactSettings",
    "Neighbour",
    "NeighbourIndex",
]
