"""Exponential forward decay: sums that forget, and come out the same in whatever order events arrive.

Source: Cormode, Shkapenyuk, Srivastava, Xu, "Forward Decay: A Practical Time Decay Model for Streaming
Systems", ICDE 2009. A weight grows with the event's own time instead of shrinking with the clock's, so what
is stored never has to be touched as time passes. To keep the weights in range they are relative to the
beginning of an epoch; an epoch is a whole number of half-lives long, so moving a sum from one epoch to
another multiplies it by a power of two, which is exact in binary floating point.

    epoch = max(epoch, decay.epoch_of(event_time_ms))        # of all events in the sum
    total = decay.rescale(total, old_epoch, epoch) + decay.weight(event_time_ms, epoch)
    decay.value_at(total, epoch, now_ms)                     # each event counts 2 ** -(age / half-life)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.errors import ConfigurationError

EPOCH_HALF_LIVES = 32
"""Length of an epoch: weights relative to their own epoch lie between 1 and 2 ** 32."""


@dataclass(frozen=True, slots=True)
class Decay:
    """Exponential decay by a half-life in milliseconds.

    A sum is kept relative to the epoch of its latest event. A late event has a smaller weight, down to 0.0
    when it is more than 1,000 half-lives older than the epoch; an event of a later epoch moves the sum on first.
    """

    half_life_ms: int

    def __post_init__(self) -> None:
        if self.half_life_ms < 1:
            raise ConfigurationError(f"half_life_ms is {self.half_life_ms}; give at least 1 millisecond")

    def epoch_of(self, event_time_ms: int) -> int:
        """Number of the epoch that a time lies in."""
        return event_time_ms // (EPOCH_HALF_LIVES * self.half_life_ms)

    def epoch_start_ms(self, epoch: int) -> int:
        """The time whose weight relative to ``epoch`` is one."""
        return epoch * EPOCH_HALF_LIVES * self.half_life_ms

    def require_epoch(self, epoch: int, event_time_ms: int) -> None:
        """Refuse a sum whose epoch is not that of its latest event; raises ``ConfigurationError``.

        Finds a half-life changed under kept sums unless by so little that the time lies in the same epoch.
        """
        if epoch != self.epoch_of(event_time_ms):
            raise ConfigurationError(
                f"a sum was kept with another half-life than the {self.half_life_ms} ms that are set; "
                "set it back, or delete the changelog topic that holds the sum to begin anew"
            )

    def weight(self, event_time_ms: int, epoch: int) -> float:
        """Weight of an event relative to an epoch that is its own or a later one; later events weigh more."""
        return math.exp2((event_time_ms - self.epoch_start_ms(epoch)) / self.half_life_ms)

    def weights(self, event_times_ms: NDArray[np.int64], epoch: int) -> NDArray[np.float64]:
        """``weight`` of many events at once, of the same shape; equal to it up to the last bit."""
        elapsed: NDArray[np.float64] = (event_times_ms - self.epoch_start_ms(epoch)) / self.half_life_ms
        return np.exp2(elapsed)

    def factor(self, from_epoch: int, to_epoch: int) -> float:
        """What sums relative to ``from_epoch`` are multiplied by to be relative to ``to_epoch``, a power of two.

        It is 0.0 where nothing would be left, and raises ``OverflowError`` some 30 epochs backwards.
        """
        return math.ldexp(1.0, EPOCH_HALF_LIVES * (from_epoch - to_epoch))

    def rescale(self, value: float, from_epoch: int, to_epoch: int) -> float:
        """A sum relative to ``from_epoch`` as one relative to ``to_epoch``."""
        return math.ldexp(value, EPOCH_HALF_LIVES * (from_epoch - to_epoch))

    def value_at(self, value: float, epoch: int, now_ms: int) -> float:
        """What a sum relative to ``epoch`` has decayed to at a time: an event of that very time counts one."""
        return value * math.exp2((self.epoch_start_ms(epoch) - now_ms) / self.half_life_ms)
