"""How a process that somebody waits for gets a core soon, beside others that are busy."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys

_SET_ATTRIBUTES = {"x86_64": 314, "aarch64": 274}
"""Numbers of Linux's sched_setattr(2), which the C library does not offer."""

_ATTRIBUTES = "IIQiIQQQ"
"""size, policy, flags, nice, priority, runtime, deadline, period"""

_KEEP_POLICY = 0x08


def take_short_turns(turn_seconds: float = 0.0001) -> None:
    """Ask for a core at once when there is something to do, in return for keeping it for short turns only.

    For a process that sleeps most of the time and is waited for; holds for the threads that it starts from now on.
    Linux 6.12 and later (EEVDF's requested slices) grant it to everybody, and others take no notice.
    """
    number = _SET_ATTRIBUTES.get(platform.machine())
    if sys.platform != "linux" or number is None:
        return
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    turn_ns = int(1e9 * turn_seconds)
    attributes = struct.pack(_ATTRIBUTES, struct.calcsize(_ATTRIBUTES), 0, _KEEP_POLICY, nice, 0, turn_ns, 0, 0)
    ctypes.CDLL(None).syscall(number, 0, attributes, 0)
