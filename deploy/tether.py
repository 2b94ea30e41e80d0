"""Runs a command that does not outlive the process that asked for it, however that one ends.

    python -m deploy.tether PARENT_PID COMMAND [ARGUMENT…]

On Linux the kernel sends the command a SIGTERM when its parent is gone (``PR_SET_PDEATHSIG``, prctl(2)), and
this process becomes the command. Elsewhere it stays as a go-between that watches the parent and passes signals
on. The parent has to start it from a thread that lives as long as the command should.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType

_PR_SET_PDEATHSIG = 1
_WATCH_SECONDS = 0.5
_GRACE_SECONDS = 10.0


def tethered(command: Sequence[str]) -> list[str]:
    """The command line that runs ``command`` tied to this process."""
    return [sys.executable, "-m", "deploy.tether", str(os.getpid()), *command]


def _become(parent_pid: int, command: Sequence[str]) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent_pid:  # it ended before the kernel was asked
        sys.exit(1)
    os.execvp(command[0], list(command))  # noqa: S606 - the caller's own command line


def _watch(parent_pid: int, command: Sequence[str]) -> int:
    child = subprocess.Popen(command)

    def pass_on(number: int, frame: FrameType | None) -> None:
        child.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, pass_on)
    while child.poll() is None:
        if os.getppid() != parent_pid:
            child.terminate()
            try:
                return child.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
        time.sleep(_WATCH_SECONDS)
    return child.returncode


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit status, where it does not take this process's place."""
    parent_pid, *command = arguments
    if sys.platform == "linux":
        _become(int(parent_pid), command)
    return _watch(int(parent_pid), command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
