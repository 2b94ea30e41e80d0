"""From a feature message to a vector that can be compared."""

from __future__ import annotations

import numpy as np

from recsys.neighbours.by_encoder import Feature
from recsys.neighbours.index import Vector
from schemas.errors import InvalidEventError
from schemas.events import ImageFeature

LENGTH_TOLERANCE = 0.01
"""How far from 1 the length of a vector may be; rounding to float16 makes a ten-thousandth of it."""


class InvalidVectorError(InvalidEventError):
    """A feature's vector cannot be compared with others."""


def read_feature(message: ImageFeature, usual_dimensions: int | None) -> Feature:
    """The vectors of a message, float16 (d,); raises ``InvalidVectorError``.

    ``usual_dimensions`` is the length of the same encoder's other vectors, None where there are none yet.
    """
    vector = _read(message.vector)
    if usual_dimensions is not None and len(vector) != usual_dimensions:
        raise InvalidVectorError(
            f"the vector has {len(vector)} dimensions, others of encoder {message.encoder_id} have "
            f"{usual_dimensions}; give a changed encoder another encoder_id"
        )
    earlier = None
    if message.earlier_vector:
        earlier = Feature(message.earlier_encoder_id, _read(message.earlier_vector))
    return Feature(message.encoder_id, vector, earlier, message.tried_encoder_id)


def _read(data: bytes) -> Vector:
    size_bytes = len(data)
    if not size_bytes or size_bytes % 2:
        raise InvalidVectorError(f"the vector has {size_bytes} bytes; give float16 numbers of two bytes each")
    vector = np.frombuffer(data, "<f2").astype(np.float16)
    length = float(np.linalg.norm(vector.astype(np.float64)))
    if not abs(length - 1) <= LENGTH_TOLERANCE:  # not a number neither
        raise InvalidVectorError(f"the vector's length is {length:.4g}; normalise it to 1")
    return vector
