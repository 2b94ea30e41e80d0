from __future__ import annotations

import pytest

from producers.pacing import Pacer
from schemas.errors import ConfigurationError


class Clock:
    """Stands still unless it is slept on or moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds

    def times(self, pacer: Pacer, event_times_ms: list[int]) -> list[float]:
        """When each event goes out, in seconds after the start."""
        seen = []
        for at_ms in event_times_ms:
            pacer.wait(at_ms)
            seen.append(round(self.now - 100.0, 6))
        return seen


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_without_a_pace_nothing_waits(clock: Clock) -> None:
    assert clock.times(Pacer(clock=clock, sleep=clock.sleep), [0, 10_000, 5]) == [0, 0, 0]


def test_a_rate_spaces_events_evenly(clock: Clock) -> None:
    pacer = Pacer(rate_per_second=4, clock=clock, sleep=clock.sleep)
    assert clock.times(pacer, [0] * 5) == [0, 0.25, 0.5, 0.75, 1.0]


def test_a_rate_above_what_can_be_slept_is_kept_on_average(clock: Clock) -> None:
    pacer = Pacer(rate_per_second=10_000, clock=clock, sleep=clock.sleep)
    assert clock.times(pacer, [0] * 10_001)[-1] == pytest.approx(1.0, abs=0.002)


def test_a_rate_makes_up_for_a_second_of_delay_and_no_more(clock: Clock) -> None:
    pacer = Pacer(rate_per_second=10, clock=clock, sleep=clock.sleep)
    clock.times(pacer, [0])
    clock.now += 60
    burst = clock.times(pacer, [0] * 20)
    assert sum(at == 60.0 for at in burst) == 11
    assert burst[-1] == pytest.approx(60.9)


def test_as_recorded_keeps_the_distances(clock: Clock) -> None:
    pacer = Pacer(speed=1.0, clock=clock, sleep=clock.sleep)
    assert clock.times(pacer, [5_000, 5_500, 5_200, 9_000]) == [0, 0.5, 0.5, 4.0]


def test_as_recorded_at_another_speed_catches_up_after_a_delay(clock: Clock) -> None:
    pacer = Pacer(speed=10.0, clock=clock, sleep=clock.sleep)
    assert clock.times(pacer, [0, 10_000]) == [0, 1.0]
    clock.now += 5
    assert clock.times(pacer, [20_000, 80_000]) == [6.0, 8.0]


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_an_impossible_pace_is_refused(value: float) -> None:
    with pytest.raises(ConfigurationError, match=r"the rate is .*; give a number above 0"):
        Pacer(rate_per_second=value)
    with pytest.raises(ConfigurationError, match=r"the speed is .*; give a number above 0"):
        Pacer(speed=value)
    with pytest.raises(ConfigurationError, match="not both"):
        Pacer(rate_per_second=1, speed=1)
