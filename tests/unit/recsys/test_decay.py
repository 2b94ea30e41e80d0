from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.decay import EPOCH_HALF_LIVES, Decay
from schemas.errors import ConfigurationError

HOUR_MS = 3_600_000
half_lives = st.integers(1, 90 * 24 * HOUR_MS)
times = st.integers(0, 4_000_000_000_000)


def total(decay: Decay, event_times_ms: list[int]) -> tuple[float, int]:
    """A sum taken up one event at a time, in the order given."""
    value, epoch = 0.0, 0
    for at_ms in event_times_ms:
        newer = max(epoch, decay.epoch_of(at_ms))
        value, epoch = decay.rescale(value, epoch, newer) + decay.weight(at_ms, newer), newer
    return value, epoch


def test_an_event_counts_half_after_one_half_life() -> None:
    decay = Decay(HOUR_MS)
    value, epoch = total(decay, [5 * HOUR_MS])
    assert decay.value_at(value, epoch, 5 * HOUR_MS) == pytest.approx(1.0)
    assert decay.value_at(value, epoch, 6 * HOUR_MS) == pytest.approx(0.5)
    assert decay.value_at(value, epoch, 8 * HOUR_MS) == pytest.approx(0.125)


def test_a_half_life_of_nothing_is_refused_with_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match="give at least 1 millisecond"):
        Decay(0)


@given(half_lives, times)
def test_weights_in_their_own_epoch_stay_in_range(half_life_ms: int, at_ms: int) -> None:
    decay = Decay(half_life_ms)
    assert 1.0 <= decay.weight(at_ms, decay.epoch_of(at_ms)) < 2.0**EPOCH_HALF_LIVES * (1 + 1e-9)


@given(st.lists(times, min_size=1, max_size=5), half_lives)
def test_sums_do_not_depend_on_the_order_of_arrival(event_times_ms: list[int], half_life_ms: int) -> None:
    decay = Decay(half_life_ms)
    expected, epoch = total(decay, sorted(event_times_ms))
    for order in itertools.islice(itertools.permutations(event_times_ms), 24):
        value, epoch_of_order = total(decay, list(order))
        assert epoch_of_order == epoch
        assert value == pytest.approx(expected, rel=1e-12)
        assert math.isfinite(value)


@given(st.floats(1e-6, 1e12), st.integers(0, 1_000), st.integers(0, 12), st.integers(0, 12))
def test_moving_between_epochs_is_exact_and_adds_up(value: float, epoch: int, up: int, further: int) -> None:
    decay = Decay(HOUR_MS)
    moved = decay.rescale(value, epoch, epoch + up)
    assert decay.rescale(moved, epoch + up, epoch) == value
    assert decay.rescale(moved, epoch + up, epoch + up + further) == decay.rescale(
        value, epoch, epoch + up + further
    )


@given(half_lives, times, st.integers(0, 5))
def test_moving_a_weight_is_the_weight_in_the_other_epoch(half_life_ms: int, at_ms: int, later: int) -> None:
    decay = Decay(half_life_ms)
    epoch = decay.epoch_of(at_ms)
    moved = decay.rescale(decay.weight(at_ms, epoch), epoch, epoch + later)
    assert decay.weight(at_ms, epoch + later) == pytest.approx(moved, rel=1e-12)


@given(st.lists(times, min_size=1, max_size=20), half_lives)
def test_many_at_once_equal_one_by_one(event_times_ms: list[int], half_life_ms: int) -> None:
    decay = Decay(half_life_ms)
    epoch = decay.epoch_of(max(event_times_ms))
    many = decay.weights(np.array(event_times_ms, np.int64), epoch)
    assert many == pytest.approx([decay.weight(at_ms, epoch) for at_ms in event_times_ms], rel=1e-12)


def test_what_is_ages_old_weighs_nothing_and_overflows_nothing() -> None:
    decay = Decay(1_000)
    value, epoch = total(decay, [0, 10**12])
    assert value == decay.weight(10**12, epoch)
    assert decay.weight(0, epoch) == 0.0
    assert decay.factor(0, epoch) == 0.0


@given(half_lives, times)
def test_a_sum_kept_with_this_half_life_is_taken_back(half_life_ms: int, at_ms: int) -> None:
    decay = Decay(half_life_ms)
    decay.require_epoch(decay.epoch_of(at_ms), at_ms)


def test_a_sum_kept_with_another_half_life_is_refused_with_what_to_do() -> None:
    now_ms = 1_750_000_000_000
    with pytest.raises(ConfigurationError, match="set it back, or delete the changelog topic"):
        Decay(24 * HOUR_MS).require_epoch(Decay(36 * HOUR_MS).epoch_of(now_ms), now_ms)
