"""Pictures a second from a file to a vector, beside Keras and beside what the machine can do at most."""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.embed_process import picture_files
from benchmarks.pictures import render
from consumers.image_features.cleaning import clean
from consumers.image_features.encoder import Encoder
from consumers.image_features.settings import ImageLimits, available_cpus
from schemas.errors import ConfigurationError, RecsysError

OnProgress = Callable[[int, int], None]

_FEWEST = 4
"""Pictures in a folder that is worth measuring."""


@dataclass(frozen=True, slots=True)
class EmbedBench:
    """What is measured: the pictures of a folder, or so many that are drawn, in rounds that take turns."""

    images: Path | None = None
    drawn: int = 512
    rounds: int = 3


def bench_embed(
    folder: Path, bench: EmbedBench, on_progress: OnProgress = lambda done, total: None
) -> dict[str, float | None]:
    """Medians over the rounds; ``keras_images_per_s`` is None where TensorFlow is not installed.

    The limit is the number of cores divided by the core-seconds that cleaning and a plain LiteRT call on one
    thread take for a picture when each runs alone. ``ready_s`` is since the start of the process.
    """
    pictures = bench.images or _drawn(folder, bench.drawn)
    files = picture_files(pictures)
    if len(files) < _FEWEST:
        raise ConfigurationError(f"{pictures} has {len(files)} pictures; give a folder with more")
    contenders = {"": _Contender(pictures)}
    if importlib.util.find_spec("tensorflow") is not None:
        contenders["keras_"] = _Contender(pictures, "keras")
    rates: dict[str, list[float]] = {name: [] for name in (*contenders, "limit_")}
    rss_mb = 0.0
    try:
        for number in range(bench.rounds):
            for name, contender in contenders.items():
                figures = contender.round()
                rates[name].append(figures["images_per_s"])
                rss_mb = rss_mb if name else max(rss_mb, figures["rss_mb"])
            rates["limit_"].append(_limit(files))
            on_progress(number + 1, bench.rounds)
    finally:
        for contender in contenders.values():
            contender.close()
    middle = {f"{name}images_per_s": round(statistics.median(values), 1) for name, values in rates.items()}
    ready_s = round(contenders[""].ready_s, 2)
    return {"keras_images_per_s": None, **middle, "ready_s": ready_s, "rss_mb": round(rss_mb, 1)}


def _drawn(folder: Path, count: int) -> Path:
    for number in range(count):
        render(folder, number)
    return folder


def _limit(files: list[Path]) -> float:
    """Pictures a second if every core did nothing but what has to be done."""
    data = [path.read_bytes() for path in files[:: max(1, len(files) // 128)]]
    limits = ImageLimits()
    start = time.process_time()
    pictures = np.stack([clean(one, limits) for one in data])
    cleaning = (time.process_time() - start) / len(data)
    encoder = Encoder(num_threads=1)
    encoder.embed(pictures[:2])
    start = time.process_time()
    encoder.embed(pictures)
    encoding = (time.process_time() - start) / len(pictures)
    return available_cpus() / (cleaning + encoding)


class _Contender:
    """A process that embeds the pictures whenever it is told to."""

    def __init__(self, pictures: Path, *arguments: str) -> None:
        command = [sys.executable, "-m", "benchmarks.embed_process", str(pictures), *arguments]
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "OPENBLAS_NUM_THREADS": "1"}
        start = time.perf_counter()  # the child does not know: /proc dates a process to within a second
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            text=True,
        )
        self._hear()
        self.ready_s = time.perf_counter() - start

    def round(self) -> dict[str, Any]:
        """Embed all pictures once."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._hear()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RecsysError(f"{' '.join(self._process.args)} ended with {self._process.wait()}")  # type: ignore[arg-type]
        figures: dict[str, Any] = json.loads(line)
        return figures
