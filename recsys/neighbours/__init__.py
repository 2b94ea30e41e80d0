"""Nearest neighbours of unit vectors, kept up to date as products come, move and go."""

from recsys.neighbours.exact import ExactIndex, ExactSettings
from recsys.neighbours.index import Changes, Neighbour, NeighbourIndex

__all__ = ["Changes", "ExactIndex", "ExactSettings", "Neighbour", "NeighbourIndex"]
