from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from consumers.image_features.encoder import Encoder
from consumers.image_features.encoder_file import DEFAULT_MODEL
from schemas.errors import ConfigurationError

SAMPLES = Path(str(importlib.util.find_spec("sklearn").origin)).parent / "datasets/images"
"""The photographs that come with scikit-learn; importing it takes longer than all of these tests."""

KNOWN_STRONGEST = [1037, 270, 815, 143, 406]
KNOWN_STRENGTHS = [
    0.12250000238418579,
    0.10559999942779541,
    0.1046999990940094,
    0.09920000284910202,
    0.09640000015497208,
]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder(num_threads=2)


@pytest.fixture(scope="module")
def pictures() -> NDArray[np.uint8]:
    """Eleven pictures: two photographs, mirrored and turned, and plain noise."""
    photographs = [
        np.asarray(Image.open(SAMPLES / name).resize((224, 224))) for name in ("china.jpg", "flower.jpg")
    ]
    turned = [np.rot90(photo, turns).copy() for photo in photographs for turns in range(4)]
    noise = np.random.default_rng(0).integers(0, 256, (3, 224, 224, 3), np.uint8)
    return np.concatenate([np.stack(turned), noise])


def test_vectors_are_unit_length(encoder: Encoder, pictures: NDArray[np.uint8]) -> None:
    vectors = encoder.embed(pictures)
    assert (vectors.shape, vectors.dtype, encoder.dimensions) == ((11, 1280), np.float32, 1280)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-5)


def test_a_batch_equals_one_by_one(encoder: Encoder, pictures: NDArray[np.uint8]) -> None:
    one_by_one = np.concatenate([encoder.embed(picture[None]) for picture in pictures])
    np.testing.assert_allclose(encoder.embed(pictures), one_by_one, atol=1e-6)
    for size in (0, 3, 4, 5):
        np.testing.assert_allclose(encoder.embed(pictures[:size]), one_by_one[:size], atol=1e-6)


def test_several_batches_under_way_do_not_mix(encoder: Encoder, pictures: NDArray[np.uint8]) -> None:
    expected = encoder.embed(pictures)
    begun = [encoder.begin(pictures[order]) for order in (slice(None), slice(None, None, -1), slice(3, 9))]
    for result, order in zip(begun, (slice(None), slice(None, None, -1), slice(3, 9)), strict=True):
        np.testing.assert_allclose(result(), expected[order], atol=1e-6)


def test_a_photograph_is_nearest_to_itself_turned(encoder: Encoder, pictures: NDArray[np.uint8]) -> None:
    vectors = encoder.embed(pictures)
    china, flower = vectors[:4], vectors[4:8]
    assert (china @ china.T).min() > (china @ flower.T).max()


def test_the_vector_of_a_known_photograph(encoder: Encoder, pictures: NDArray[np.uint8]) -> None:
    """These were read off when the file was made and its classes of this very photograph were checked."""
    vector = encoder.embed(pictures[:1])[0]
    assert np.argsort(-vector)[:5].tolist() == KNOWN_STRONGEST
    np.testing.assert_allclose(np.sort(vector)[::-1][:5], KNOWN_STRENGTHS, atol=2e-3)


def test_the_id_is_the_name_and_the_sha256_that_the_readme_gives(encoder: Encoder) -> None:
    digest = hashlib.sha256(DEFAULT_MODEL.read_bytes()).hexdigest()
    assert digest in DEFAULT_MODEL.with_name("README.md").read_text()
    assert encoder.encoder_id == f"mobilenet_v2-{digest[:8]}"


def test_other_shapes_are_refused(encoder: Encoder) -> None:
    with pytest.raises(ValueError, match=r"give uint8 \(n, 224, 224, 3\), not float64 \(1, 224, 224, 3\)"):
        encoder.embed(np.zeros((1, 224, 224, 3)))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"not uint8 \(224, 224, 3\)"):
        encoder.embed(np.zeros((224, 224, 3), np.uint8))


def test_a_file_that_is_no_model_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot read the encoder .*name a \.tflite file"):
        Encoder(tmp_path / "absent.tflite")
    (tmp_path / "text.tflite").write_text("no model")
    with pytest.raises(ConfigurationError, match="is no encoder of square RGB pictures"):
        Encoder(tmp_path / "text.tflite")
