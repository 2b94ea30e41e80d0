"""Short turns: granted where the kernel knows them, and never in the way."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
import threading

import pytest

from consumers.runtime.turns import take_short_turns

_GET_ATTRIBUTES = {"x86_64": 315, "aarch64": 275}


def attributes() -> tuple[int, ...]:
    """Of the calling thread: size, policy, flags, nice, priority, runtime, deadline, period."""
    found = ctypes.create_string_buffer(48)
    ctypes.CDLL(None).syscall(_GET_ATTRIBUTES[platform.machine()], 0, found, 48, 0)
    return struct.unpack("IIQiIQQQ", found.raw)


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in _GET_ATTRIBUTES, reason="Linux on two architectures only"
)
def test_a_thread_and_those_that_it_starts_take_short_turns_at_the_same_priority() -> None:
    found: list[tuple[int, ...]] = []

    def look() -> None:
        found.append(attributes())

    def take() -> None:
        take_short_turns(0.0002)
        look()
        child = threading.Thread(target=look)
        child.start()
        child.join()

    thread = threading.Thread(target=take)
    thread.start()
    thread.join()
    if not found[0][5]:
        pytest.skip("a kernel before 6.12 grants no slices")
    assert [of[5] for of in found] == [200_000, 200_000]
    assert {of[3] for of in found} == {os.getpriority(os.PRIO_PROCESS, 0)}


def test_elsewhere_it_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "unheard-of")
    take_short_turns()
