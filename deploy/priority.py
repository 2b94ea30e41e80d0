"""Lets what works in the background step back on a machine that it shares with what people wait for."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def step_back(leader: int, niceness: int) -> None:
    """Lower the priority of a session with all its threads; ``leader`` is the process that began it.

    Linux shares processors between sessions first and looks at niceness within each of them (sched(7), the
    autogroup feature), so both are set. Does nothing where the system has no such thing, or does not allow it.
    """
    if os.name != "posix":
        return
    with suppress(OSError):
        os.setpriority(os.PRIO_PGRP, leader, niceness)
    with suppress(OSError):
        Path(f"/proc/{leader}/autogroup").write_text(str(niceness), encoding="ascii")
