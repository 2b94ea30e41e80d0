"""An encoder that sees pictures otherwise than the shipped one, made from it without TensorFlow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as flat

from consumers.image_features.encoder_file import (
    DEFAULT_MODEL,
    EncoderDescription,
    Preprocessing,
    encoder_id_of,
    pack_encoder,
)


def write_other_encoder(path: Path) -> str:
    """The shipped network with the weights of its last convolution shuffled; returns its encoder id."""
    model = DEFAULT_MODEL.read_bytes()
    buffers = flat.Model.GetRootAs(model, 0)
    sizes = [buffers.Buffers(number).DataLength() for number in range(buffers.BuffersLength())]
    largest = buffers.Buffers(int(np.argmax(sizes))).DataAsNumpy().tobytes()  # float16 (1280, 1, 1, 320)
    shuffled = np.random.default_rng(0).permutation(np.frombuffer(largest, np.float16)).tobytes()
    other = model.replace(largest, shuffled)
    assert len(other) == len(model)
    assert other != model
    description = EncoderDescription(
        name=path.stem,
        encoder_id=encoder_id_of(path.stem, other),
        preprocessing=Preprocessing(side=224),
        dimensions=1280,
    )
    path.write_bytes(pack_encoder(other, description))
    return description.encoder_id
