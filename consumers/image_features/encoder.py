"""The image encoder: a ``.tflite`` model run by LiteRT, from pictures to unit vectors."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from consumers.image_features.encoder_file import DEFAULT_MODEL, SIDE, encoder_id_of, read_encoder_file
from consumers.image_features.settings import available_cpus
from schemas.errors import ConfigurationError


class Encoder:
    """Embeds pictures. Not safe to share between threads.

    A model takes float32 (n, side, side, 3), RGB from 0 to 255, and gives float32 (n, d); whatever scaling its
    network expects is part of it. Errors: ``ConfigurationError`` for a file that is no such model.
    """

    def __init__(self, model: Path | None = None, num_threads: int | None = None) -> None:
        path = model or DEFAULT_MODEL
        self._flat, self.description = read_encoder_file(path)
        self._num_threads = num_threads or min(available_cpus(), 8)
        recorded = self.description
        self.encoder_id = encoder_id_of(path.stem, self._flat) if recorded is None else recorded.encoder_id
        """A name and the first digits of the model's sha256: the same id means comparable vectors."""
        self._threads: ThreadPoolExecutor | None = None
        self._idle: SimpleQueue[_Run] = SimpleQueue()
        try:
            self.side = _side(self._flat)
            self._one = _Run(self._flat, self.side)
            self.dimensions = self._one.dimensions
        except (ValueError, RuntimeError) as error:
            raise ConfigurationError(f"{path} is no encoder of square RGB pictures: {error}") from error

    def embed(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embed RGB pictures, uint8 (n, side, side, 3), as unit vectors, float32 (n, dimensions)."""
        return self.begin(images)()

    def begin(self, images: NDArray[np.uint8]) -> Callable[[], NDArray[np.float32]]:
        """The same in the background, from where what is returned fetches it; others may be begun meanwhile."""
        if images.dtype != np.uint8 or images.shape[1:] != (self.side, self.side, 3):
            raise ValueError(f"give uint8 (n, {self.side}, {self.side}, 3), not {images.dtype} {images.shape}")
        features = np.empty((len(images), self.dimensions), np.float32)
        alone = len(images) == 1  # no other thread has to wake up for it
        under_way = [] if alone else self._begin_each(images, features)
        if alone:
            features[:] = self._one(images)

        def result() -> NDArray[np.float32]:
            for one in under_way:
                one.result()
            norms = np.linalg.norm(features, axis=1, keepdims=True)
            units: NDArray[np.float32] = features / np.maximum(norms, np.finfo(np.float32).tiny)
            return units

        return result

    def _begin_each(self, images: NDArray[np.uint8], features: NDArray[np.float32]) -> list[Future[None]]:
        """Runs of one thread each take picture after picture; threads of one run would wait for each other."""
        if len(images) and self._threads is None:
            self._threads = ThreadPoolExecutor(self._num_threads, "encoder")
            for _ in range(self._num_threads):
                self._idle.put(_Run(self._flat, self.side))

        def embed_one(number: int) -> None:
            run = self._idle.get()  # there are as many as threads
            try:
                features[number] = run(images[number : number + 1])[0]
            finally:
                self._idle.put(run)

        return [] if self._threads is None else [self._threads.submit(embed_one, n) for n in range(len(images))]


class _Run:
    """An interpreter of one thread for one picture: what passes between layers stays in a core's cache."""

    def __init__(self, flat: bytes, side: int) -> None:
        self._interpreter: Any = Interpreter(model_content=flat, num_threads=1)
        given = _input(self._interpreter)
        self._input = given["index"]
        self._interpreter.resize_tensor_input(self._input, (1, side, side, 3), strict=True)
        self._interpreter.allocate_tensors()
        result = self._interpreter.get_output_details()[0]
        if len(result["shape"]) != 2:
            raise ValueError(f"its output has the shape {result['shape'].tolist()}, not (n, d)")
        self._output = result["index"]
        self.dimensions = int(result["shape"][1])

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        self._interpreter.set_tensor(self._input, images.astype(np.float32))
        self._interpreter.invoke()
        features: NDArray[np.float32] = self._interpreter.get_tensor(self._output)
        return features


def _input(interpreter: Any) -> Any:
    (given,) = interpreter.get_input_details()
    if given["dtype"] is not np.float32 or len(given["shape"]) != 4:
        raise ValueError(f"its input is {given['dtype'].__name__} {given['shape'].tolist()}")
    return given


def _side(flat: bytes) -> int:
    """Height and width of the input; ``SIDE`` where the model takes any."""
    _, height, width, channels = _input(Interpreter(model_content=flat))["shape_signature"].tolist()
    if height != width or channels != 3:
        raise ValueError(f"its input is {height}x{width} with {channels} channels")
    return SIDE if height < 0 else int(height)
