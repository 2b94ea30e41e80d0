"""Starts several processes, waits until each is ready, starts again the ones that die, and stops them all.

The caller drives it: ``check`` does what is due and never waits, so there is no thread, and a process is always
started by the thread that owns the supervisor. Every process is tethered to this one: it ends when this one does.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from deploy.tether import tethered
from schemas.errors import RecsysError

State = Literal["starting", "ready", "restarting", "failed", "stopped"]

_HEALTH_TIMEOUT_SECONDS = 2.0
_POLL_SECONDS = 0.05
_KILL_SECONDS = 2.0
_LOG_LINES = 12


class ProcessFailedError(RecsysError):
    """A supervised process does not start, or dies again and again; the message ends with its last words."""


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One process: what it is called, its command, and the address that answers 200 once it is ready.

    ``environment`` is put over this process's own. Without ``health_url`` it is ready once it runs.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    health_url: str | None = None


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """How often a process that dies is started again: exponential backoff with full jitter.

    More than ``max_restarts`` within ``window_seconds`` and it is given up.
    """

    max_restarts: int = 5
    window_seconds: float = 60.0
    first_backoff_seconds: float = 0.5
    max_backoff_seconds: float = 10.0

    def backoff_seconds(self, recent_restarts: int, rng: random.Random) -> float:
        """How long to wait before the next start."""
        ceiling = self.first_backoff_seconds * 2.0 ** min(recent_restarts, 30)
        return rng.uniform(0.0, min(self.max_backoff_seconds, ceiling))


class _Supervised:
    """One process and what happened to it."""

    def __init__(self, spec: ProcessSpec, log_path: Path) -> None:
        self.spec = spec
        self.log_path = log_path
        self.process: subprocess.Popen[bytes] | None = None
        self.state: State = "stopped"
        self.restarts = 0
        self.died_at: deque[float] = deque()
        self.start_at = 0.0

    def start(self) -> None:
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                tethered(self.spec.command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.spec.environment},
                # A group of its own: the terminal's Ctrl-C is for the supervisor, which stops them in order.
                process_group=0,
            )
        self.state = "starting"

    def last_words(self) -> str:
        with suppress(OSError):
            lines = self.log_path.read_text(encoding="utf-8", errors="replace").splitlines()
            return "\n".join(lines[-_LOG_LINES:])
        return ""

    def failure(self, what: str) -> ProcessFailedError:
        words = self.last_words()
        return ProcessFailedError(
            f"{self.spec.name} {what}; its log is {self.log_path}" + (f" and ends:\n{words}" if words else "")
        )


class Supervisor:
    """Owns the processes of ``specs``; use it in a ``with`` block, whose end stops them all."""

    def __init__(
        self,
        specs: Sequence[ProcessSpec],
        logs: Path,
        *,
        policy: RestartPolicy | None = None,
        rng: random.Random | None = None,
    ) -> None:
        logs.mkdir(parents=True, exist_ok=True)
        self._policy = policy or RestartPolicy()
        self._rng = rng or random.Random()
        self._all = {spec.name: _Supervised(spec, logs / f"{spec.name}.log") for spec in specs}

    @property
    def states(self) -> dict[str, State]:
        """What each process is doing, as of the last ``check``."""
        return {name: supervised.state for name, supervised in self._all.items()}

    @property
    def restarts(self) -> dict[str, int]:
        """How often each process was started again."""
        return {name: supervised.restarts for name, supervised in self._all.items()}

    def pid(self, name: str) -> int | None:
        """The process id; None while it does not run."""
        process = self._all[name].process
        return process.pid if process is not None and process.poll() is None else None

    def start(self) -> None:
        """Start every process; does not wait."""
        for supervised in self._all.values():
            supervised.start()

    def wait_ready(self, timeout_seconds: float, on_wait: Callable[[], None] | None = None) -> None:
        """Return when all are ready; ``on_wait`` is called in between. Raises ``ProcessFailedError``."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            self.check()
            late = [s for s in self._all.values() if s.state != "ready"]
            if not late:
                return
            if time.monotonic() > deadline:
                raise late[0].failure(f"is not ready after {timeout_seconds:.0f} s")
            if on_wait is not None:
                on_wait()
            time.sleep(_POLL_SECONDS)

    def check(self) -> None:
        """See who died and who became ready, and start again what is due; raises ``ProcessFailedError``."""
        now = time.monotonic()
        for supervised in self._all.values():
            if supervised.state in ("starting", "ready"):
                self._look_at(supervised, now)
            elif supervised.state == "restarting" and now >= supervised.start_at:
                supervised.restarts += 1
                supervised.start()

    def stop(self, timeout_seconds: float = 10.0) -> list[str]:
        """Ask all to stop, kill what has not by then; returns the names of those that had to be killed."""
        running = [s for s in self._all.values() if s.process is not None and s.process.poll() is None]
        for supervised in running:
            _signal(supervised, signal.SIGTERM)
        deadline = time.monotonic() + timeout_seconds
        killed = []
        for supervised in running:
            if not _ended(supervised, deadline - time.monotonic()):
                _signal(supervised, signal.SIGKILL)
                _ended(supervised, _KILL_SECONDS)
                killed.append(supervised.spec.name)
        for supervised in self._all.values():
            supervised.state = "stopped"
        return killed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _look_at(self, supervised: _Supervised, now: float) -> None:
        assert supervised.process is not None
        status = supervised.process.poll()
        if status is not None:
            self._plan_restart(supervised, status, now)
        elif supervised.state == "starting" and _is_healthy(supervised.spec.health_url):
            supervised.state = "ready"

    def _plan_restart(self, supervised: _Supervised, status: int, now: float) -> None:
        recent = supervised.died_at
        while recent and now - recent[0] > self._policy.window_seconds:
            recent.popleft()
        if len(recent) >= self._policy.max_restarts:
            supervised.state = "failed"
            raise supervised.failure(f"ended {len(recent) + 1} times in a row ({_status(status)})")
        supervised.start_at = now + self._policy.backoff_seconds(len(recent), self._rng)
        supervised.state = "restarting"
        recent.append(now)


def _is_healthy(url: str | None) -> bool:
    if url is None:
        return True
    try:
        with urllib.request.urlopen(url, timeout=_HEALTH_TIMEOUT_SECONDS) as answer:  # noqa: S310 - our own address
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _signal(supervised: _Supervised, number: signal.Signals) -> None:
    assert supervised.process is not None
    with suppress(ProcessLookupError):
        supervised.process.send_signal(number)


def _ended(supervised: _Supervised, timeout_seconds: float) -> bool:
    assert supervised.process is not None
    try:
        supervised.process.wait(max(timeout_seconds, 0.0))
    except subprocess.TimeoutExpired:
        return False
    return True


def _status(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    with suppress(ValueError):
        return f"killed by {signal.Signals(-status).name}"
    return f"killed by signal {-status}"
