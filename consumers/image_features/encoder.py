"""The image encoder: a ``.tflite`` model run by LiteRT, from pictures to unit vectors."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from consumers.image_features.settings import available_cpus
from schemas.errors import ConfigurationError

DEFAULT_MODEL = Path(__file__).with_name("model") / "mobilenet_v2.tflite"
"""MobileNetV2 with ImageNet weights, average-pooled; see ``model/README.md``."""

SIDE = 224
"""Side of the square picture that an encoder takes, pixels."""

CHUNK = 4
"""Pictures in one run of the model. More gain nothing on a CPU, and leave its caches."""


class Encoder:
    """Embeds pictures. Not safe to share between threads.

    A model takes float32 (n, 224, 224, 3), RGB from 0 to 255, and gives float32 (n, d); whatever scaling its
    network expects is part of it. Errors: ``ConfigurationError`` for a file that is no such model.
    """

    def __init__(self, model: Path | None = None, num_threads: int | None = None) -> None:
        path = model or DEFAULT_MODEL
        try:
            self._flat = path.read_bytes()
        except OSError as error:
            raise ConfigurationError(
                f"cannot read the encoder {path}: {error.strerror}; name a .tflite file"
            ) from error
        self._num_threads = num_threads or min(available_cpus(), 8)
        self.encoder_id = f"{path.stem}-{hashlib.sha256(self._flat).hexdigest()[:8]}"
        """Name and the first digits of the file's sha256: the same id means comparable vectors."""
        self._runs: dict[int, _Run] = {}
        try:
            self.dimensions = self._run(1).dimensions
        except (ValueError, RuntimeError) as error:
            raise ConfigurationError(f"{path} is no encoder of {SIDE}x{SIDE} RGB pictures: {error}") from error

    def embed(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embed RGB pictures, uint8 (n, 224, 224, 3), as unit vectors, float32 (n, dimensions)."""
        if images.dtype != np.uint8 or images.shape[1:] != (SIDE, SIDE, 3):
            raise ValueError(f"give uint8 (n, {SIDE}, {SIDE}, 3), not {images.dtype} {images.shape}")
        features = np.empty((len(images), self.dimensions), np.float32)
        whole = len(images) - len(images) % CHUNK
        for start in range(0, whole, CHUNK):
            features[start : start + CHUNK] = self._run(CHUNK)(images[start : start + CHUNK])
        for start in range(whole, len(images)):
            features[start : start + 1] = self._run(1)(images[start : start + 1])
        norms = np.linalg.norm(features, axis=1, keepdims=True)
        features /= np.maximum(norms, np.finfo(np.float32).tiny)
        return features

    def _run(self, size: int) -> _Run:
        """The model laid out for batches of one size; laying it out again for each batch costs more than a run."""
        if size not in self._runs:
            self._runs[size] = _Run(self._flat, size, self._num_threads)
        return self._runs[size]


class _Run:
    """An interpreter whose input holds exactly ``size`` pictures."""

    def __init__(self, flat: bytes, size: int, num_threads: int) -> None:
        self._interpreter: Any = Interpreter(model_content=flat, num_threads=num_threads)
        (given,) = self._interpreter.get_input_details()
        if given["dtype"] is not np.float32 or len(given["shape"]) != 4:
            raise ValueError(f"its input is {given['dtype'].__name__} {given['shape'].tolist()}")
        self._input = given["index"]
        self._interpreter.resize_tensor_input(self._input, (size, SIDE, SIDE, 3), strict=True)
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
