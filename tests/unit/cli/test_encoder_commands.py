from __future__ import annotations

import importlib.util
import json

import pytest
from typer.testing import CliRunner

from cli.encoder import app
from schemas.errors import ConfigurationError


def test_the_list_says_which_encoders_are_ready() -> None:
    done = CliRunner().invoke(app, ["list", "--json"])
    found = json.loads(done.stdout)
    assert found["chosen"] == "mobilenet-v2"
    assert found["encoders"]["mobilenet-v2"].endswith("mobilenet_v2.tflite")
    assert found["encoders"]["convnext-tiny"] == ""


def test_the_shipped_encoder_is_shown() -> None:
    done = CliRunner().invoke(app, ["show", "--json"])
    assert json.loads(done.stdout)["encoder_id"] == "mobilenet_v2-af463aa9"


@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is not None, reason="TensorFlow is installed")
def test_without_tensorflow_it_says_what_to_install() -> None:
    done = CliRunner().invoke(app, ["export", "resnet50"])
    assert isinstance(done.exception, ConfigurationError)
    assert "pip install -r requirements/train.txt" in str(done.exception)
