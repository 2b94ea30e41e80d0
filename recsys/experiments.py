"""Who sees which variant of an experiment, and what blend of scorers that is.

A pure function of the experiment's name, its shares and the shopper's id: processes need not agree on anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from schemas.errors import ConfigurationError

Floats = NDArray[np.float64]

_BITS = 53


@dataclass(frozen=True, slots=True)
class BlendTrial:
    """An experiment whose variants weigh scorers in other ways."""

    name: str
    shares: dict[str, float]
    """Share of the shoppers of each variant, in the order in which shoppers are dealt."""
    blends: Mapping[str, Mapping[str, float]]
    """By variant, the weights of the scorers that it names; others stay as they are."""
    starts_ms: int = 0
    ends_ms: int = 2**63 - 1
    """From when and until when it runs, milliseconds since the Unix epoch."""


def dealt(experiment: str, shares: dict[str, float], shopper: str) -> str:
    """The variant that a shopper sees; the same for as long as the shares and their order are."""
    place = _place(experiment, shopper)
    reached = accumulate(shares.values())
    found = (name for name, end in zip(shares, reached, strict=True) if place < end)
    return next(found, next(reversed(shares)))


class BlendVariants:
    """The weights of the shoppers who are part of trials. ``scorers`` names the columns of weights."""

    def __init__(self, trials: Sequence[BlendTrial], scorers: Sequence[str]) -> None:
        places = {name: place for place, name in enumerate(scorers)}
        for trial in trials:
            for variant, blend in trial.blends.items():
                unused = sorted(blend.keys() - places.keys())
                if unused:
                    raise ConfigurationError(
                        f"variant {variant} of {trial.name} weighs {', '.join(unused)}, which the blend leaves "
                        "out; give each a weight above 0 in interactions.blend"
                    )
        self._trials = [
            (trial, {name: _columns(blend, places) for name, blend in trial.blends.items()}) for trial in trials
        ]

    def __bool__(self) -> bool:
        return bool(self._trials)

    def put(self, weights: Floats, subjects: Sequence[str], times_ms: Sequence[int]) -> None:
        """Put the variants' weights into rows of shape (subjects, scorers), as of each subject's time."""
        for row, (subject, at_ms) in enumerate(zip(subjects, times_ms, strict=True)):
            for trial, blends in self._trials:
                if trial.starts_ms <= at_ms < trial.ends_ms:
                    changed = blends.get(dealt(trial.name, trial.shares, subject))
                    if changed is not None:
                        weights[row, changed[0]] = changed[1]


def _columns(blend: Mapping[str, float], places: Mapping[str, int]) -> tuple[list[int], list[float]]:
    return [places[name] for name in blend], list(blend.values())


def _place(experiment: str, shopper: str) -> float:
    """Where a shopper stands from 0 to 1, evenly, and in each experiment anew."""
    data = f"{experiment}\0{shopper}".encode(errors="surrogatepass")
    return (int.from_bytes(blake2b(data, digest_size=8).digest(), "big") >> (64 - _BITS)) / (1 << _BITS)
