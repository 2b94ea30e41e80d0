"""Every network that can be chosen, converted and compared with Keras; random weights go the same way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from consumers.image_features.encoder import Encoder
from consumers.image_features.encoder_file import DEFAULT_MODEL, read_encoder_file
from consumers.image_features.encoders import EXPORTED_ENCODERS

keras = pytest.importorskip("keras", reason="needs the train dependency group")
from training.architectures import make_network  # noqa: E402
from training.conversion import export, max_difference, sample_pictures  # noqa: E402
from training.errors import NotANetworkError, WeightsMissingError  # noqa: E402
from training.litert_network import network_of  # noqa: E402

pytestmark = [
    pytest.mark.train,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore"),  # TensorFlow's own
]

PREPROCESSING = {
    "resnet50": keras.applications.resnet50.preprocess_input,
    "vgg16": keras.applications.vgg16.preprocess_input,
    "vgg16-fc2": keras.applications.vgg16.preprocess_input,
    "xception": keras.applications.xception.preprocess_input,
    "efficientnetv2-b0": keras.applications.efficientnet_v2.preprocess_input,
    "convnext-tiny": keras.applications.convnext.preprocess_input,
}
APPLICATIONS = {
    "resnet50": keras.applications.ResNet50,
    "vgg16": keras.applications.VGG16,
    "vgg16-fc2": keras.applications.VGG16,
    "xception": keras.applications.Xception,
    "efficientnetv2-b0": keras.applications.EfficientNetV2B0,
    "convnext-tiny": keras.applications.ConvNeXtTiny,
}


@pytest.mark.parametrize("name", EXPORTED_ENCODERS)
def test_a_network_of_keras_applications(name: str, tmp_path: Path) -> None:
    side = 299 if name == "xception" else 224
    keras.utils.set_random_seed(1)
    if name == "vgg16-fc2":
        whole = APPLICATIONS[name](weights=None)
        plain = keras.Model(whole.input, whole.get_layer("fc2").output)
    else:
        whole = plain = APPLICATIONS[name](
            weights=None, include_top=False, pooling="avg", input_shape=(side, side, 3)
        )
    weights = tmp_path / "random.weights.h5"
    whole.save_weights(weights)

    network = make_network(name, weights)
    pictures = sample_pictures(side, 2).astype(np.float32)
    theirs = plain.predict(PREPROCESSING[name](pictures.copy()), verbose=0)
    np.testing.assert_allclose(network.whole.predict(pictures, verbose=0), theirs, rtol=1e-3, atol=1e-4)

    made = export(network, tmp_path / f"{name}.tflite")
    assert made.description.keras_max_difference is not None
    assert made.description.keras_max_difference < 1e-3
    encoder = Encoder(made.path)
    assert (encoder.side, encoder.dimensions) == (side, plain.output_shape[1])
    assert made.images_per_s > 0


def test_without_weights_the_file_to_provide_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("keras.src.applications.resnet.file_utils.get_file", offline)
    with pytest.raises(WeightsMissingError, match=r"provide the file resnet50_weights.*notop\.h5.*--weights FILE"):
        make_network("resnet50")


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    (tmp_path / "w.weights.h5").write_bytes(b"no weights")
    with pytest.raises(WeightsMissingError, match=r"w\.weights\.h5 does not hold the weights of resnet50"):
        make_network("resnet50", tmp_path / "w.weights.h5")


def _own(path: Path, *, pooled: bool = True) -> None:
    inputs = keras.Input((64, 64, 3))
    x = keras.layers.Conv2D(8, 3, 2, activation="relu")(inputs)
    keras.Model(inputs, keras.layers.GlobalMaxPooling2D()(x) if pooled else x).save(path)


def test_a_shops_own_network(tmp_path: Path) -> None:
    _own(tmp_path / "ours.keras")
    made = export(make_network(str(tmp_path / "ours.keras"), scaling="-1..1"), tmp_path / "ours.tflite")
    described = read_encoder_file(made.path).description
    assert described == made.description
    assert described is not None
    assert (described.preprocessing.side, described.preprocessing.scaling, described.dimensions) == (
        64,
        "-1..1",
        8,
    )
    assert Encoder(made.path).embed(sample_pictures(64, 3)).shape == (3, 8)


def test_what_is_no_encoder_is_refused(tmp_path: Path) -> None:
    _own(tmp_path / "map.keras", pooled=False)
    (tmp_path / "text.keras").write_text("no network")
    with pytest.raises(NotANetworkError, match=r"an encoder takes \(n, side, side, 3\) and gives \(n, d\)"):
        make_network(str(tmp_path / "map.keras"))
    with pytest.raises(NotANetworkError, match="is no network that Keras can load"):
        make_network(str(tmp_path / "text.keras"))


def test_the_shipped_encoder_is_a_network_again() -> None:
    assert max_difference(Encoder(), network_of(DEFAULT_MODEL.read_bytes())) < 1e-5
