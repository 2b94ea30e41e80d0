"""The part that is trained: the network's last stage where there is one, and a projection on top."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from training.architectures import Network
from training.cutting import Cut

DIMENSIONS = 128
_HIDDEN = 512
_DROPOUT = 0.3
_SAMPLE = 256


class Trainable(NamedTuple):
    """What is trained, and which of its weights had been trained before."""

    model: Any
    """From a view to an embedding (n, 128), not normalised."""
    earlier: list[Any]
    fresh: list[Any]


def add_head(part: Cut, sample: NDArray[Any]) -> Trainable:
    """Put a projection (Dense, GELU, Dense) behind the tail; ``sample`` are some views, to learn their size from.

    The feature is brought to numbers of size one first, so that the same rates of learning fit every network.
    """
    inputs = keras.Input(sample.shape[1:])
    feature = inputs if part.tail is None else part.tail(inputs)
    given = sample[:_SAMPLE].astype(np.float32)
    numbers = given if part.tail is None else part.tail.predict(given, verbose=0, batch_size=32)
    size = float(np.sqrt(np.square(numbers).mean())) or 1.0
    x = keras.layers.Rescaling(1.0 / size)(feature)
    x = keras.layers.Dropout(_DROPOUT)(x)
    x = keras.layers.Dense(_HIDDEN, "gelu")(x)
    x = keras.layers.Dropout(_DROPOUT)(x)
    model = keras.Model(inputs, keras.layers.Dense(DIMENSIONS, use_bias=False)(x))
    earlier = [] if part.tail is None else list(part.tail.trainable_variables)
    known = {id(weight) for weight in earlier}
    return Trainable(model, earlier, [weight for weight in model.trainable_variables if id(weight) not in known])


def joined(network: Network, trunk: Any, tuned: Any, name: str) -> Network:
    """Trunk and what was trained as one network."""
    core = keras.Model(trunk.input, tuned(trunk.output), name=name)
    return network._replace(core=core)


def small_network(side: int) -> Network:
    """A network without any earlier training, for pictures unlike photographs: five stages of convolutions."""
    inputs = keras.Input((side, side, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1.0)(inputs)
    for number, channels in enumerate((32, 64, 128, 192, 256)):
        x = keras.layers.Conv2D(channels, 3, strides=2, padding="same", use_bias=False)(x)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(x))
        if number >= 2:
            y = keras.layers.SeparableConv2D(channels, 3, padding="same", use_bias=False)(x)
            x = keras.layers.Add()([x, keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(y))])
    core = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))
    return Network(core, "from-scratch", side, "in the network")
