"""Where the broker says what happens to it, and its last words when it could not start."""

from __future__ import annotations

from pathlib import Path

_LAST_LINES = 6
_LAST_BYTES = 64_000


class BrokerLog:
    """The log of one data folder: what Kafka logs, and what Java prints when there is no logging yet."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "kafka.log"
        self.output = folder / "kafka.out"
        self._begin_bytes = 0

    def begin(self) -> None:
        """Leave out of the last words what earlier brokers logged."""
        self._begin_bytes = _size(self.path)

    def last_words(self) -> str:
        """Where the log is and how it ends, without stack frames."""
        printed, logged = _lines(self.output, 0), _lines(self.path, self._begin_bytes)
        lines = [*printed[-_LAST_LINES:], *logged[-_LAST_LINES:]]
        return f"its log is {self.path}" + (" and ends:\n" + "\n".join(lines) if lines else "")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _lines(path: Path, begin_bytes: int) -> list[str]:
    size = _size(path)
    if size == 0:
        return []
    with path.open("rb") as file:
        file.seek(max(begin_bytes if begin_bytes <= size else 0, size - _LAST_BYTES))
        lines = file.read(_LAST_BYTES).decode(errors="replace").splitlines()
    return [line for line in lines if line.strip() and not line.startswith(("\t", "    at "))]
