"""From a Keras network to an encoder's file, checked against Keras and measured."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from consumers.image_features.encoder import Encoder
from consumers.image_features.encoder_file import EncoderDescription, Preprocessing, encoder_id_of, pack_encoder
from training.architectures import Network
from training.errors import ConversionError

LARGEST_DIFFERENCE = 0.01
"""How far a number of a unit vector may be from Keras'; float16 weights make a thousandth of it or so."""

_MEASURED_SECONDS = 2.0


class Exported(NamedTuple):
    """A file that was made, and what was measured of it."""

    path: Path
    description: EncoderDescription
    size_bytes: int
    ready_s: float
    images_per_s: float


def export(
    network: Network, path: Path, *, half: bool = True, trained: dict[str, str | int | float] | None = None
) -> Exported:
    """Convert, write, verify against Keras and measure; raises ``ConversionError`` and leaves no file then.

    ``half`` stores weights as float16: half the size, computed with as float32.
    """
    whole = network.whole
    model = convert(whole, half=half)
    path.parent.mkdir(parents=True, exist_ok=True)
    description = EncoderDescription(
        name=path.stem,
        encoder_id=encoder_id_of(path.stem, model),
        architecture=network.name,
        preprocessing=Preprocessing(side=network.side, scaling=network.scaling),
        dimensions=int(network.core.output_shape[-1]),
        trained=trained or {},
    )
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        unfinished.write_bytes(pack_encoder(model, description))
        difference = max_difference(Encoder(unfinished), whole)
        if not difference <= LARGEST_DIFFERENCE:
            raise ConversionError(
                f"the converted {network.name} differs from Keras by {difference:.2g} in a unit vector"
                + ("; keep float32 weights (--float32)" if half else "")
            )
        description = description.model_copy(update={"keras_max_difference": difference})
        unfinished.write_bytes(pack_encoder(model, description))
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return Exported(path, description, path.stat().st_size, *measure(path))


def convert(network: Any, *, half: bool) -> bytes:
    """A ``.tflite`` flat buffer of a Keras network."""
    with tempfile.TemporaryDirectory() as folder:
        network.export(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if half:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        flat: bytes = converter.convert()
    return flat


def max_difference(encoder: Encoder, network: Any) -> float:
    """The largest difference between numbers of the unit vectors that both give for test pictures."""
    pictures = sample_pictures(encoder.side)
    expected = np.asarray(network.predict(pictures.astype(np.float32), batch_size=4, verbose=0))
    expected /= np.maximum(np.linalg.norm(expected, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return float(np.abs(encoder.embed(pictures) - expected).max())


def sample_pictures(side: int, count: int = 7) -> NDArray[np.uint8]:
    """Smooth random colours with some noise, uint8 (count, side, side, 3), the same each time."""
    rng = np.random.default_rng(0)
    cells = rng.integers(0, 256, (count, 8, 8, 3))
    at = np.arange(side) * 8 // side
    noisy = cells[:, at][:, :, at] + rng.integers(-20, 21, (count, side, side, 3))
    pictures: NDArray[np.uint8] = np.clip(noisy, 0, 255).astype(np.uint8)
    return pictures


def measure(path: Path) -> tuple[float, float]:
    """Seconds until the first vector, and pictures a second after that, of LiteRT alone."""
    start = time.perf_counter()
    encoder = Encoder(path)
    encoder.embed(sample_pictures(encoder.side, 1))
    ready_s = time.perf_counter() - start
    pictures = sample_pictures(encoder.side)
    encoder.embed(pictures)
    done, start = 0, time.perf_counter()
    while (took := time.perf_counter() - start) < _MEASURED_SECONDS:
        encoder.embed(pictures)
        done += len(pictures)
    return round(ready_s, 3), round(done / took, 1)
