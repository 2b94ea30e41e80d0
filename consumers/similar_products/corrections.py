"""From what corrects hubs to its record on similar-state, and back."""

from __future__ import annotations

import numpy as np

from consumers.runtime.causes import Cause
from recsys.neighbours.hubness import Correction
from schemas.errors import InvalidEventError
from schemas.events import SimilarState


def to_state(encoder_id: str, correction: Correction, cause: Cause) -> SimilarState:
    """The record."""
    return SimilarState(
        encoder_id,
        correction.products,
        correction.usual,
        correction.centre.astype("<f4").tobytes(),
        correction.directions.astype("<f2").tobytes(),
        correction.sample.astype("<f2").tobytes(),
        cause.event_time_ms,
    )


def from_state(state: SimilarState) -> Correction:
    """The correction of a record; raises ``InvalidEventError`` where its arrays do not fit together."""
    try:
        centre = np.frombuffer(state.centre, "<f4").astype(np.float32)
        directions = np.frombuffer(state.directions, "<f2").astype(np.float16).reshape(len(centre), -1)
        sample = np.frombuffer(state.sample, "<f2").astype(np.float16).reshape(-1, directions.shape[1])
    except ValueError as error:
        raise InvalidEventError(
            f"the arrays of {state.encoder_id} on similar-state do not fit: {error}"
        ) from error
    return Correction(state.products, centre, directions, sample, state.usual)
