"""The configuration: file, environment, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from consumers.configuration import Configuration, load
from schemas.errors import ConfigurationError


def test_nothing_set_gives_the_defaults(tmp_path: Path) -> None:
    assert load({}, tmp_path) == Configuration()
    assert load({}, tmp_path).kafka.embedded


def test_the_environment_goes_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "recsys.toml").write_text('[kafka]\nbootstrap_servers = "a:1"\ntopic_prefix = "shop."\n')
    configuration = load({"KAFKA_BOOTSTRAP_SERVERS": "b:2", "RECSYS_IMAGES__FETCH__MAX_REDIRECTS": "1"}, tmp_path)
    assert configuration.kafka.bootstrap_servers == "b:2"
    assert configuration.kafka.topic_prefix == "shop."
    assert configuration.images.fetch.max_redirects == 1


def test_a_named_file_is_read_and_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("[kafka]\npartitions = 7\n")
    assert load({"RECSYS_CONFIG": "other.toml"}, tmp_path).kafka.partitions == 7
    with pytest.raises(ConfigurationError, match=r"cannot read the configuration .*absent\.toml: No such file"):
        load({"RECSYS_CONFIG": "absent.toml"}, tmp_path)


def test_lists_are_given_as_json(tmp_path: Path) -> None:
    configuration = load({"RECSYS_IMAGES__FETCH__ALLOWED_HOSTS": '["img.example"]'}, tmp_path)
    assert configuration.images.fetch.allowed_hosts == {"img.example"}


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"RECSYS_IMAGES__FETCH__MAX_REDIRECT": "1"}, "images.fetch.max_redirect: there is no such setting"),
        ({"RECSYS_IMAGE__FETCH": "1"}, "image: there is no such setting"),
        ({"KAFKA_SASL_PASSWRD": "x"}, "kafka.sasl_passwrd: there is no such setting"),
        ({"KAFKA_PARTITIONS": "none"}, "kafka.partitions: Input should be a valid integer"),
        ({"RECSYS_KAFKA": "x", "RECSYS_KAFKA__PARTITIONS": "1"}, "goes below kafka, which is not a section"),
    ],
)
def test_what_is_wrong_is_named(environ: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load(environ, tmp_path)


def test_other_tools_variables_are_left_alone(tmp_path: Path) -> None:
    assert (
        load({"KAFKA_HOME": "/opt/kafka", "KAFKA_OPTS": "-X", "RECSYS_CACHE_DIR": "/c"}, tmp_path)
        == Configuration()
    )


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "recsys.toml").write_text("kafka = ")
    with pytest.raises(ConfigurationError, match=r"recsys\.toml is not TOML"):
        load({}, tmp_path)


def test_secrets_never_show(tmp_path: Path) -> None:
    secret = "hunter2-hunter2"
    environ = {"KAFKA_SASL_PLAIN_PASSWORD": secret, "KAFKA_PARTITIONS": "no"}
    with pytest.raises(ConfigurationError) as refused:
        load(environ, tmp_path)
    assert secret not in str(refused.value)
    environ = {
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_MECHANISM": "PLAIN",
        "KAFKA_SASL_PLAIN_USERNAME": "shop",
        "KAFKA_SASL_PLAIN_PASSWORD": secret,
    }
    configuration = load(environ, tmp_path)
    assert secret not in repr(configuration)
    assert secret not in configuration.model_dump_json()
