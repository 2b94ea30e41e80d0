"""The networks that can be chosen by name, and a shop's own: each takes RGB from 0 to 255 and gives (n, d)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from consumers.image_features.encoder_file import DEFAULT_MODEL
from consumers.image_features.settings import SHIPPED_ENCODER
from training.errors import NotANetworkError, WeightsMissingError
from training.litert_network import network_of

SCALINGS = ("none", "0..1", "-1..1", "imagenet", "caffe")
"""What a network may expect of values from 0 to 255: as they are, divided, normalised as torchvision does with
ImageNet's mean and deviation, or as BGR less ImageNet's mean (Caffe)."""

_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)
_BGR_MEAN = (103.939, 116.779, 123.68)


class Network(NamedTuple):
    """A network, and what is done to RGB from 0 to 255 before it."""

    core: Any
    name: str
    side: int
    scaling: str

    @property
    def whole(self) -> Any:
        """The network with its scaling."""
        return scaled(self.core, self.side, self.scaling)


@dataclass(frozen=True, slots=True)
class _Application:
    """A network of ``keras.applications``, up to its feature."""

    build: Callable[..., Any]
    weights_file: str
    scaling: str = "none"
    side: int = 224
    layer: str | None = None
    """The fully connected layer that is the feature; None for the average-pooled output."""

    def network(self, name: str, weights: Path | None) -> Any:
        """The feature as a function of the scaled picture, with ImageNet's weights or those of a file."""
        options: dict[str, Any] = {"weights": "imagenet" if weights is None else str(weights)}
        if self.layer is None:
            options |= {"include_top": False, "pooling": "avg", "input_shape": (self.side, self.side, 3)}
        try:
            whole = self.build(**options)
        except Exception as error:  # the loader raises whatever the network or the file's reader does
            raise self._missing(name, weights, error) from error
        return whole if self.layer is None else keras.Model(whole.input, whole.get_layer(self.layer).output)

    def _missing(self, name: str, weights: Path | None, error: Exception) -> WeightsMissingError:
        reason = " ".join(str(error).split())[:200]
        if weights is not None:
            return WeightsMissingError(f"{weights} does not hold the weights of {name} ({reason})")
        return WeightsMissingError(
            f"the weights of {name} cannot be downloaded here ({reason}); provide the file {self.weights_file}, "
            f"in ~/.keras/models/ or by --weights FILE"
        )


_APPLICATIONS: Mapping[str, _Application] = {
    "resnet50": _Application(
        keras.applications.ResNet50, "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5", "caffe"
    ),
    "vgg16": _Application(keras.applications.VGG16, "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5", "caffe"),
    "vgg16-fc2": _Application(
        keras.applications.VGG16, "vgg16_weights_tf_dim_ordering_tf_kernels.h5", "caffe", layer="fc2"
    ),
    "xception": _Application(
        keras.applications.Xception, "xception_weights_tf_dim_ordering_tf_kernels_notop.h5", "-1..1", side=299
    ),
    "efficientnetv2-b0": _Application(keras.applications.EfficientNetV2B0, "efficientnetv2-b0_notop.h5"),
    "convnext-tiny": _Application(keras.applications.ConvNeXtTiny, "convnext_tiny_notop.h5"),
}


def make_network(choice: str, weights: Path | None = None, scaling: str = "none") -> Network:
    """The network of a name, of a ``.keras`` file, or of a ``.tflite`` file whose operators are known.

    ``weights`` replaces ImageNet's for a name of ``keras.applications``; ``scaling`` is what a ``.keras`` file
    expects. Errors: ``WeightsMissingError``, ``NotANetworkError``, ``UnknownNetworkError``.
    """
    if choice == SHIPPED_ENCODER:
        return Network(network_of(DEFAULT_MODEL.read_bytes()), choice, 224, "in the network")
    if choice in _APPLICATIONS:
        application = _APPLICATIONS[choice]
        core = application.network(choice, weights)
        return Network(core, choice, application.side, application.scaling)
    path = Path(choice)
    if path.suffix == ".tflite":
        from consumers.image_features.encoder_file import read_encoder_file

        core = network_of(read_encoder_file(path).model)
        return Network(core, path.stem, int(core.input_shape[1]), "in the network")
    return _own(path, scaling)


def scaled(network: Any, side: int, scaling: str) -> Any:
    """Put the scaling of RGB from 0 to 255 before a network."""
    inputs = keras.Input((side, side, 3), name="rgb_0_to_255")
    return keras.Model(inputs, network(_scale(inputs, scaling)), name=network.name)


def _scale(x: Any, scaling: str) -> Any:
    if scaling in ("none", "in the network"):
        return x
    if scaling == "0..1":
        return keras.layers.Rescaling(1 / 255.0)(x)
    if scaling == "-1..1":
        return keras.layers.Rescaling(1 / 127.5, -1.0)(x)
    if scaling == "imagenet":
        factors = [1.0 / (255.0 * deviation) for deviation in _DEVIATION]
        offsets = [-mean / deviation for mean, deviation in zip(_MEAN, _DEVIATION, strict=True)]
        return keras.layers.Rescaling(factors, offsets)(x)
    swap = keras.layers.Conv2D(3, 1, trainable=False, name="rgb_to_bgr")
    swapped = swap(x)
    swap.set_weights([np.eye(3, dtype=np.float32)[::-1].reshape(1, 1, 3, 3), -np.array(_BGR_MEAN, np.float32)])
    return swapped


def _own(path: Path, scaling: str) -> Network:
    try:
        core = keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras raises whatever the file's parts do
        reason = " ".join(str(error).split())[:200]
        raise NotANetworkError(f"{path} is no network that Keras can load ({reason})") from error
    shape, result = core.input_shape, core.output_shape
    if len(shape) != 4 or shape[1] != shape[2] or shape[1] is None or shape[3] != 3 or len(result) != 2:
        raise NotANetworkError(
            f"{path} takes {shape} and gives {result}; an encoder takes (n, side, side, 3) and gives (n, d)"
        )
    return Network(core, path.stem, shape[1], scaling)
