"""The figures of running stages, read from the metrics that they serve."""

from __future__ import annotations

import re
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

_SAMPLE = re.compile(
    r"^(?P<name>recsys_events_total|recsys_consumer_lag)\{(?P<labels>[^}]*)\} (?P<value>\S+)$", re.MULTILINE
)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_TIMEOUT_SECONDS = 2.0
_INTERVAL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class StageFigures:
    """What one stage says of itself: input events by (topic, outcome), committed ones alone, and its lag."""

    events: Counter[tuple[str, str]] = field(default_factory=Counter)
    lag: int = 0
    events_per_second: float = 0.0

    @property
    def total(self) -> int:
        """All input events, whatever came of them."""
        return sum(self.events.values())


def read_figures(text: str) -> StageFigures:
    """Read a page in Prometheus' text format (0.0.4)."""
    events: Counter[tuple[str, str]] = Counter()
    lag = 0
    for sample in _SAMPLE.finditer(text):
        labels = dict(_LABEL.findall(sample["labels"]))
        value = int(float(sample["value"]))
        if sample["name"] == "recsys_consumer_lag":
            lag += value
        else:
            events[labels["topic"], labels["outcome"]] += value
    return StageFigures(events, lag)


def fetch_figures(url: str) -> StageFigures | None:
    """The figures at a stage's metrics address; None while it does not answer."""
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310 - our own address
            return read_figures(answer.read().decode(errors="replace"))
    except (urllib.error.URLError, OSError):
        return None


class StageMonitor:
    """Reads the figures of several stages once a second, on a thread of its own."""

    def __init__(self, urls: Mapping[str, str]) -> None:
        self._urls = dict(urls)
        self._figures: dict[str, StageFigures] = {}
        self._read_at: dict[str, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stage-monitor", daemon=True)

    @property
    def figures(self) -> Mapping[str, StageFigures]:
        """The newest figures by stage; a stage that does not answer keeps its last ones."""
        return self._figures

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, within the time of one request."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_TIMEOUT_SECONDS + _INTERVAL_SECONDS)

    def _run(self) -> None:
        while not self._stop.wait(_INTERVAL_SECONDS):
            for name, url in self._urls.items():
                figures = fetch_figures(url)
                if figures is not None and not self._stop.is_set():
                    self._put(name, figures, time.monotonic())

    def _put(self, name: str, figures: StageFigures, now: float) -> None:
        before, at = self._figures.get(name), self._read_at.get(name)
        rate = 0.0
        if before is not None and at is not None and now > at:
            rate = max(figures.total - before.total, 0) / (now - at)
        self._figures = {**self._figures, name: StageFigures(figures.events, figures.lag, rate)}
        self._read_at[name] = now
