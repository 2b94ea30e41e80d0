"""What an encoder's file says of itself: a ``.tflite`` model, and after it a zip with ``encoder.json``.

LiteRT reads the model from the front and does not look at what follows, a zip is found from its end; TensorFlow
Lite's own metadata packs files the same way. ``unzip -p FILE encoder.json`` shows what is recorded.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.errors import ConfigurationError

DEFAULT_MODEL = Path(__file__).with_name("model") / "mobilenet_v2.tflite"
"""MobileNetV2 with ImageNet weights, average-pooled; see ``model/README.md``."""

SIDE = 224
"""Side of the square picture that an encoder takes unless its file says otherwise, pixels."""

_MEMBER = "encoder.json"
_FIXED_DATE = (1980, 1, 1, 0, 0, 0)  # the same network gives the same bytes


class Preprocessing(BaseModel):
    """From a picture to the network's input. The scaling is done by the network itself."""

    model_config = ConfigDict(frozen=True)

    side: int = Field(ge=32, le=1024, description="side of the square picture, pixels")
    crop: Literal["central-square"] = "central-square"
    channels: Literal["RGB"] = "RGB"
    scaling: str = Field(default="in the network", description="what the network does with values from 0 to 255")


class EncoderDescription(BaseModel):
    """What is recorded in an encoder's file."""

    model_config = ConfigDict(frozen=True)

    name: str = Field(min_length=1, max_length=100)
    encoder_id: str = Field(min_length=1, max_length=120, description="the same id means comparable vectors")
    architecture: str = ""
    preprocessing: Preprocessing
    dimensions: int = Field(ge=1, description="length of a vector")
    keras_max_difference: float | None = Field(
        default=None, description="largest difference of a unit vector's number to Keras' own"
    )
    trained: dict[str, str | int | float] = Field(default_factory=dict, description="how it was tuned, if it was")


class EncoderFile(NamedTuple):
    """The model, and what is recorded of it; None where nothing is."""

    model: bytes
    description: EncoderDescription | None


def encoder_id_of(name: str, model: bytes) -> str:
    """Name and the first digits of the model's sha256."""
    return f"{name}-{hashlib.sha256(model).hexdigest()[:8]}"


def read_encoder_file(path: Path) -> EncoderFile:
    """Read a ``.tflite`` file, with or without a description; raises ``ConfigurationError``."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"cannot read the encoder {path}: {error.strerror}; name a .tflite file"
        ) from error
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return EncoderFile(content, None)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            model = content[: min(member.header_offset for member in packed.infolist())]
            description = EncoderDescription.model_validate_json(packed.read(_MEMBER))
    except (KeyError, ValueError, ValidationError, zipfile.BadZipFile) as error:
        raise ConfigurationError(f"what is recorded in the encoder {path} cannot be read: {error}") from error
    if encoder_id_of(description.name, model) != description.encoder_id:
        raise ConfigurationError(f"the encoder {path} is not what is recorded in it; export or tune it again")
    return EncoderFile(model, description)


def pack_encoder(model: bytes, description: EncoderDescription) -> bytes:
    """The content of an encoder's file."""
    packed = io.BytesIO()
    packed.write(model)
    with zipfile.ZipFile(packed, "a") as archive:
        member = zipfile.ZipInfo(_MEMBER, _FIXED_DATE)
        archive.writestr(member, description.model_dump_json(indent=2))
    return packed.getvalue()
