"""Which encoders can be chosen, and which file a choice means."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from consumers.image_features.cleaning import comparable_id
from consumers.image_features.encoder_file import DEFAULT_MODEL, SIDE, encoder_id_of, read_encoder_file
from consumers.image_features.settings import SHIPPED_ENCODER, ImageSettings
from schemas.errors import ConfigurationError

EXPORTED_ENCODERS = (
    "resnet50",
    "vgg16",
    "vgg16-fc2",
    "xception",
    "efficientnetv2-b0",
    "convnext-tiny",
)
"""Networks of ``keras.applications``; ``recsys encoder export NAME`` makes their files."""

ENCODERS = (SHIPPED_ENCODER, *EXPORTED_ENCODERS)


def encoder_path(choice: str, encoders_dir: Path) -> Path:
    """The ``.tflite`` file that a name of ``ENCODERS`` or a path means; raises ``ConfigurationError``."""
    if choice == SHIPPED_ENCODER:
        return DEFAULT_MODEL
    if choice in EXPORTED_ENCODERS:
        path = encoders_dir / f"{choice}.tflite"
        if not path.is_file():
            raise ConfigurationError(
                f"the encoder {choice} is not at {path}; make it: recsys encoder export {choice} --output {path}"
            )
        return path
    path = Path(choice)
    if path.suffix == ".keras":
        raise ConfigurationError(f"{path} has to be converted once: recsys encoder export {path}")
    if path.suffix != ".tflite":
        raise ConfigurationError(
            f"there is no encoder {choice!r}; give a .tflite file or one of {', '.join(ENCODERS)}"
        )
    return path


def features_id(path: Path) -> str:
    """The encoder id of the features that a file makes, without loading its model where the file says enough."""
    model, description = read_encoder_file(path)
    if description is not None:
        return comparable_id(description.encoder_id, description.preprocessing.side)
    if path == DEFAULT_MODEL:
        return comparable_id(encoder_id_of(path.stem, model), SIDE)
    from consumers.image_features.encoder import Encoder  # LiteRT, which not every process needs

    encoder = Encoder(path)
    return comparable_id(encoder.encoder_id, encoder.side)


def wanted_features_id(settings: ImageSettings) -> str:
    """The encoder id of features of the encoder that is chosen."""
    return features_id(encoder_path(settings.encoder, settings.encoders_dir))


def encoder_file_of(wanted_id: str, settings: ImageSettings) -> Path | None:
    """The file that made features of an id: ``previous_encoder``, the shipped one, or one in ``encoders_dir``."""
    for path in _known_files(settings):
        try:
            if features_id(path) == wanted_id:
                return path
        except ConfigurationError:
            continue  # some other file that cannot be read
    return None


def _known_files(settings: ImageSettings) -> Iterator[Path]:
    if settings.previous_encoder is not None:
        yield encoder_path(settings.previous_encoder, settings.encoders_dir)
    yield DEFAULT_MODEL
    yield from sorted(settings.encoders_dir.glob("*.tflite"))
