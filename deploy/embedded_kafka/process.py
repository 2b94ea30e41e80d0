"""Finds and ends brokers by the process table: no file can be stale, and no other process can be meant.

A broker carries in its own command line which data folder it serves, on which port, and from which jars.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

_FOLDER = "-Drecsys.kafka.folder="
_PORT = "-Drecsys.kafka.port="
_ORIGIN = "-Drecsys.kafka.origin="
_KILL_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class BrokerProcess:
    """A broker that runs."""

    process: psutil.Process
    port: int
    origin: str
    """Which Kafka, and where its jars are."""

    @property
    def alive(self) -> bool:
        """False once it has ended, whoever its parent is."""
        try:
            return self.process.is_running() and self.process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False

    def stop(self, timeout_seconds: float) -> None:
        """End it, by force when it takes longer than the timeout."""
        try:
            self.process.terminate()
            self.process.wait(timeout_seconds)
        except psutil.NoSuchProcess:
            return
        except psutil.TimeoutExpired:
            self.process.kill()
            self.process.wait(_KILL_SECONDS)


def signature(folder: Path, port: int, origin: str) -> list[str]:
    """Java arguments by which ``find`` knows the broker of a data folder."""
    return [f"{_FOLDER}{folder}", f"{_PORT}{port}", f"{_ORIGIN}{origin}"]


def find(folder: Path) -> BrokerProcess | None:
    """The broker that serves a data folder, or None; looks at this machine's processes."""
    return next(_brokers(folder), None)


def _brokers(folder: Path) -> Iterator[BrokerProcess]:
    for process in psutil.process_iter(["cmdline"]):
        arguments: list[str] = process.info["cmdline"] or []
        if f"{_FOLDER}{folder}" in arguments and "kafka.Kafka" in arguments:
            port, origin = _value(arguments, _PORT), _value(arguments, _ORIGIN)
            yield BrokerProcess(process, int(port), origin)


def _value(arguments: list[str], name: str) -> str:
    return next(argument for argument in arguments if argument.startswith(name)).removeprefix(name)
