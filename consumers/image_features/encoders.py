"""Which encoders can be chosen, and which file a choice means."""

from __future__ import annotations

from pathlib import Path

from consumers.image_features.encoder import DEFAULT_MODEL
from consumers.image_features.settings import SHIPPED_ENCODER
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
