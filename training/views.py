"""Each picture in several views, taken through the part of the network that is not trained, once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray
from PIL import Image

from consumers.image_features.catalogue_embedding import cleaned_pictures
from consumers.image_features.pipeline import Fetched
from consumers.image_features.settings import ImageSettings, available_cpus

MAX_VIEWS = 4
"""The picture itself, its mirror image, and random crops."""

MEMORY_BYTES = 1_500_000_000
"""What all views may take; a large catalogue has fewer of each picture."""

_MARGIN = 1.4
"""Side of the square that crops are taken from, relative to the network's."""
_SMALLEST_CROP = 0.65
_PICTURES_A_RUN = 4

OnProgress = Callable[[int, int], None]


class Views(NamedTuple):
    """What the trunk made of the pictures that could be used."""

    usable: NDArray[np.int64]
    """Positions of the products whose picture could be used."""
    values: NDArray[Any]
    """(usable, views, …): float16, or uint8 pictures where there is no trunk."""


class Trunk:
    """Runs the part that is not trained with LiteRT, at twice the speed of ``model.predict``."""

    def __init__(self, flat: bytes, side: int) -> None:
        self._interpreter: Any = Interpreter(model_content=flat, num_threads=available_cpus())
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]
        self._interpreter.resize_tensor_input(self._input, (_PICTURES_A_RUN, side, side, 3))
        self._interpreter.allocate_tensors()

    def __call__(self, pictures: NDArray[np.uint8]) -> NDArray[np.float16]:
        """From uint8 (n, side, side, 3) to (n, …); n is filled up to whole runs."""
        done = []
        for start in range(0, len(pictures), _PICTURES_A_RUN):
            chunk = pictures[start : start + _PICTURES_A_RUN].astype(np.float32)
            missing = _PICTURES_A_RUN - len(chunk)
            self._interpreter.set_tensor(self._input, np.pad(chunk, ((0, missing), (0, 0), (0, 0), (0, 0))))
            self._interpreter.invoke()
            done.append(self._interpreter.get_tensor(self._output)[: len(chunk)].astype(np.float16))
        return np.concatenate(done)


def make_views(
    urls: Sequence[str],
    settings: ImageSettings,
    side: int,
    trunk: Trunk | None,
    seed: int,
    on_progress: OnProgress,
) -> Views:
    """Fetch, clean, crop and take through the trunk; the same seed gives the same views."""
    through: Callable[[NDArray[np.uint8]], NDArray[Any]] = (lambda pictures: pictures) if trunk is None else trunk
    sample = through(np.zeros((1, side, side, 3), np.uint8))
    count = int(np.clip(MEMORY_BYTES // (sample.nbytes * len(urls)), 2, MAX_VIEWS))
    values = np.zeros((len(urls), count, *sample.shape[1:]), sample.dtype)
    usable = np.zeros(len(urls), np.bool_)
    named = {str(number): url for number, url in enumerate(urls)}
    done = 0
    for outcomes in cleaned_pictures(named, settings, round(side * _MARGIN)):
        for outcome in outcomes:
            if isinstance(outcome, Fetched):
                number = int(outcome.ref)
                values[number] = through(_crops(outcome.pixels, side, count, (seed, number)))
                usable[number] = True
        done += len(outcomes)
        on_progress(done, len(urls))
    positions = np.flatnonzero(usable)
    return Views(positions, values if len(positions) == len(urls) else values[positions])


def _crops(square: NDArray[np.uint8], side: int, count: int, seed: tuple[int, int]) -> NDArray[np.uint8]:
    """The whole square, its mirror image, and random crops of it, uint8 (count, side, side, 3)."""
    rng = np.random.default_rng(seed)
    whole = Image.fromarray(square)
    plain = np.asarray(whole.resize((side, side), Image.Resampling.BICUBIC))
    views = [plain, plain[:, ::-1]]
    while len(views) < count:
        width = int(whole.width * rng.uniform(_SMALLEST_CROP, 1.0))
        left, top = rng.integers(0, whole.width - width + 1, 2).tolist()
        box = (left, top, left + width, top + width)
        view = np.asarray(whole.resize((side, side), Image.Resampling.BICUBIC, box))
        views.append(view[:, ::-1] if rng.random() < 0.5 else view)
    return np.stack(views[:count])
