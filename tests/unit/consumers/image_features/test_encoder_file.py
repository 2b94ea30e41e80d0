from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from consumers.image_features.cleaning import clean
from consumers.image_features.encoder import Encoder
from consumers.image_features.encoder_file import (
    DEFAULT_MODEL,
    EncoderDescription,
    Preprocessing,
    encoder_id_of,
    pack_encoder,
    read_encoder_file,
)
from consumers.image_features.encoders import ENCODERS, encoder_path
from consumers.image_features.settings import ImageLimits
from schemas.errors import ConfigurationError

MODEL = DEFAULT_MODEL.read_bytes()


@pytest.fixture
def described(tmp_path: Path) -> Path:
    """The shipped model as a file that says what it is."""
    description = EncoderDescription(
        name="ours",
        encoder_id=encoder_id_of("ours", MODEL),
        architecture="mobilenet-v2",
        preprocessing=Preprocessing(side=224),
        dimensions=1280,
        trained={"epochs": 3},
    )
    path = tmp_path / "renamed.tflite"
    path.write_bytes(pack_encoder(MODEL, description))
    return path


def test_a_description_goes_with_the_model_and_changes_no_vector(described: Path) -> None:
    encoder = Encoder(described, num_threads=1)
    assert encoder.description is not None
    assert (encoder.encoder_id, encoder.side) == (encoder_id_of("ours", MODEL), 224), "whatever the file is called"
    assert encoder.description.trained == {"epochs": 3}
    pictures = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), np.uint8)
    np.testing.assert_array_equal(encoder.embed(pictures), Encoder(num_threads=1).embed(pictures))


def test_what_is_recorded_can_be_read_with_any_unzip(described: Path) -> None:
    with zipfile.ZipFile(described) as packed:
        assert b'"architecture": "mobilenet-v2"' in packed.read("encoder.json")


def test_the_same_encoder_gives_the_same_bytes(described: Path) -> None:
    read = read_encoder_file(described)
    assert read.description is not None
    assert pack_encoder(read.model, read.description) == described.read_bytes()


def test_a_model_without_a_description_is_taken_as_it_is() -> None:
    assert read_encoder_file(DEFAULT_MODEL) == (MODEL, None)


def test_another_model_under_the_same_description_is_refused(described: Path) -> None:
    content = bytearray(described.read_bytes())
    content[len(MODEL) // 2] ^= 1
    described.write_bytes(content)
    with pytest.raises(ConfigurationError, match="is not what is recorded in it"):
        Encoder(described)


def test_a_description_that_makes_no_sense_is_refused(tmp_path: Path) -> None:
    packed = io.BytesIO()
    packed.write(MODEL)
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr("encoder.json", '{"name": "ours"}')
    path = tmp_path / "ours.tflite"
    path.write_bytes(packed.getvalue())
    with pytest.raises(ConfigurationError, match=r"what is recorded in the encoder .* cannot be read"):
        read_encoder_file(path)


def test_names_and_paths(tmp_path: Path) -> None:
    assert ENCODERS[0] == "mobilenet-v2"
    assert encoder_path("mobilenet-v2", tmp_path) == DEFAULT_MODEL
    (tmp_path / "resnet50.tflite").touch()
    assert encoder_path("resnet50", tmp_path) == tmp_path / "resnet50.tflite"
    assert encoder_path("elsewhere/ours.tflite", tmp_path) == Path("elsewhere/ours.tflite")


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ("xception", "make it: recsys encoder export xception"),
        ("ours.keras", "has to be converted once: recsys encoder export ours.keras"),
        ("resnet", "there is no encoder 'resnet'; give a .tflite file or one of mobilenet-v2, resnet50"),
    ],
)
def test_a_choice_that_is_not_there_says_what_to_do(choice: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=says):
        encoder_path(choice, tmp_path)


def test_pictures_are_cleaned_to_the_side_that_an_encoder_takes() -> None:
    from PIL import Image

    stream = io.BytesIO()
    Image.effect_noise((900, 700), 40).convert("RGB").save(stream, "JPEG")
    for side in (96, 299):
        assert clean(stream.getvalue(), ImageLimits(), side).shape == (side, side, 3)
