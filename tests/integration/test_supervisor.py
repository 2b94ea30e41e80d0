from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from deploy.supervisor import ProcessFailedError, ProcessSpec, RestartPolicy, Supervisor

QUICK = RestartPolicy(max_restarts=3, first_backoff_seconds=0.01, max_backoff_seconds=0.02)

STOPS_ON_TERM = (
    "import signal, sys; signal.signal(15, lambda *_: sys.exit(0)); print('up', flush=True); signal.pause()"
)
IGNORES_TERM = (
    "import signal; signal.signal(15, signal.SIG_IGN); print('up', flush=True)\nwhile True: signal.pause()"
)


def python(name: str, code: str, health_url: str | None = None) -> ProcessSpec:
    return ProcessSpec(name, [sys.executable, "-c", code], health_url=health_url)


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def log_says(logs: Path, name: str, word: str) -> Callable[[], bool]:
    path = logs / f"{name}.log"
    return lambda: path.exists() and word in path.read_text()


@pytest.fixture
def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_ready_when_the_health_address_answers_and_stopped_at_the_end(tmp_path: Path, free_port: int) -> None:
    server = f"""
        import http.server, signal, sys
        signal.signal(15, lambda *_: sys.exit(0))
        http.server.HTTPServer(("127.0.0.1", {free_port}), http.server.SimpleHTTPRequestHandler).serve_forever()
    """
    url = f"http://127.0.0.1:{free_port}/"
    waits = []
    with Supervisor([python("web", textwrap.dedent(server), url)], tmp_path) as supervisor:
        supervisor.start()
        assert supervisor.states == {"web": "starting"}
        supervisor.wait_ready(20.0, on_wait=lambda: waits.append(1))
        assert supervisor.states == {"web": "ready"}
        assert waits
        pid = supervisor.pid("web")
    assert pid is not None
    assert not psutil.pid_exists(pid)
    assert supervisor.states == {"web": "stopped"}


def test_one_that_never_becomes_ready_is_named(tmp_path: Path, free_port: int) -> None:
    spec = python("mute", STOPS_ON_TERM, f"http://127.0.0.1:{free_port}/")
    with Supervisor([spec], tmp_path) as supervisor:
        supervisor.start()
        with pytest.raises(ProcessFailedError, match="mute is not ready after 0 s"):
            supervisor.wait_ready(0.0)


def test_one_that_is_killed_is_started_again(tmp_path: Path) -> None:
    with Supervisor(
        [python("a", STOPS_ON_TERM), python("b", STOPS_ON_TERM)], tmp_path, policy=QUICK
    ) as supervisor:
        supervisor.start()
        until(log_says(tmp_path, "a", "up"))
        first, other = supervisor.pid("a"), supervisor.pid("b")
        assert first is not None
        os.kill(first, signal.SIGKILL)

        def is_back() -> bool:
            supervisor.check()
            return supervisor.pid("a") not in (None, first)

        until(is_back)
        assert supervisor.restarts == {"a": 1, "b": 0}
        assert supervisor.pid("b") == other


def test_one_that_dies_again_and_again_is_given_up_with_its_last_words(tmp_path: Path) -> None:
    with Supervisor([python("doomed", "raise SystemExit('no disk')")], tmp_path, policy=QUICK) as supervisor:
        supervisor.start()

        def check_for_ever() -> None:
            until(supervisor.check)

        with pytest.raises(ProcessFailedError, match=r"(?s)doomed ended 4 times.*exit status 1.*no disk"):
            check_for_ever()
        assert supervisor.states == {"doomed": "failed"}


def test_one_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    supervisor = Supervisor([python("stubborn", IGNORES_TERM), python("meek", STOPS_ON_TERM)], tmp_path)
    supervisor.start()
    for name in ("stubborn", "meek"):
        until(log_says(tmp_path, name, "up"))
    pid = supervisor.pid("stubborn")
    assert pid is not None
    assert supervisor.stop(timeout_seconds=0.3) == ["stubborn"]
    assert not psutil.pid_exists(pid)


def test_stopping_before_anything_started_does_nothing(tmp_path: Path) -> None:
    assert Supervisor([python("a", STOPS_ON_TERM)], tmp_path).stop() == []


def test_no_process_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    parent_code = f"""
        import sys, time
        from pathlib import Path
        from deploy.supervisor import ProcessSpec, Supervisor
        child = {STOPS_ON_TERM!r}
        supervisor = Supervisor([ProcessSpec("child", [sys.executable, "-c", child])], Path({str(tmp_path)!r}))
        supervisor.start()
        print(supervisor.pid("child"), flush=True)
        time.sleep(60)
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(parent_code)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    with parent, parent.stdout:
        child = int(parent.stdout.readline())
        until(log_says(tmp_path, "child", "up"))
        parent.kill()

        def is_gone() -> bool:
            with suppress(psutil.NoSuchProcess):
                return psutil.Process(child).status() == psutil.STATUS_ZOMBIE
            return True

        until(is_gone)


def test_backoff_grows_to_its_ceiling_and_is_spread() -> None:
    policy = RestartPolicy(first_backoff_seconds=1.0, max_backoff_seconds=8.0)
    rng = random.Random(0)
    for recent, ceiling in ((0, 1.0), (1, 2.0), (3, 8.0), (50, 8.0)):
        waits = [policy.backoff_seconds(recent, rng) for _ in range(200)]
        assert 0.9 * ceiling < max(waits) <= ceiling
        assert min(waits) < 0.1 * ceiling
