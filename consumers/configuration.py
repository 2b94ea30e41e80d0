"""The one validated configuration: a TOML file, and the environment over it.

    recsys.toml                            the environment says the same as
    [kafka]
    bootstrap_servers = "kafka-1:9092"     KAFKA_BOOTSTRAP_SERVERS=kafka-1:9092
    [interactions]
    list_length = 30                       RECSYS_INTERACTIONS__LIST_LENGTH=30
    [images.fetch]
    images_dir = "/srv/images"             RECSYS_IMAGES__FETCH__IMAGES_DIR=/srv/images

The file is the one that RECSYS_CONFIG names, else ``recsys.toml`` in the working folder if it is there. Unknown
sections, keys and variables are refused.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from consumers.experiments import Experiments
from consumers.image_features.settings import ImageSettings
from consumers.interactions.settings import InteractionSettings
from consumers.item_factors.settings import ItemFactorSettings
from consumers.item_neighbours.settings import ItemNeighbourSettings
from consumers.outcomes.settings import OutcomeSettings
from consumers.runtime.settings import RuntimeSettings
from consumers.similar_products.settings import SimilarProductsSettings
from consumers.trending.settings import TrendingSettings
from schemas.errors import ConfigurationError
from schemas.kafka_settings import KafkaSettings

CONFIG_VARIABLE = "RECSYS_CONFIG"
DEFAULT_FILE = "recsys.toml"

_PREFIX = "RECSYS_"
_KAFKA_PREFIX = "KAFKA_"
_OTHER_VARIABLES = frozenset({CONFIG_VARIABLE, "RECSYS_CACHE_DIR", "RECSYS_DATA_DIR", "RECSYS_REQUIRE_KAFKA"})
"""Variables that are no settings of a stage: where files are kept, and what tests insist on."""
_GUARDED_KAFKA = ("KAFKA_SASL_", "KAFKA_SSL_", "KAFKA_SECURITY_", "KAFKA_TOPIC_", "KAFKA_BOOTSTRAP_")
"""Kafka's own tools read other KAFKA_ variables, so only a misspelt one of these kinds is refused."""


STOREFRONT_SECTIONS = frozenset({"api", "shop"})
"""Sections of the same file that only a process which serves has; others leave them unread."""


class Configuration(BaseModel):
    """Everything that can be set, a section a part of the system."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kafka: KafkaSettings = Field(default=KafkaSettings(), description="how to reach the cluster")
    runtime: RuntimeSettings = Field(default=RuntimeSettings(), description="what every stage's process has")
    images: ImageSettings = Field(default=ImageSettings(), description="fetching, cleaning and embedding pictures")
    similar_products: SimilarProductsSettings = Field(
        default=SimilarProductsSettings(), description="nearest neighbours by picture"
    )
    interactions: InteractionSettings = Field(
        default=InteractionSettings(), description="histories, what is visited together, and for-you lists"
    )
    item_neighbours: ItemNeighbourSettings = Field(
        default=ItemNeighbourSettings(), description="viewed next and bought together"
    )
    item_factors: ItemFactorSettings = Field(
        default=ItemFactorSettings(), description="matrix factorisation of who visited what"
    )
    trending: TrendingSettings = Field(default=TrendingSettings(), description="trending and popular")
    outcomes: OutcomeSettings = Field(
        default=OutcomeSettings(), description="which clicks and purchases are put down to recommendations"
    )
    experiments: Experiments = Field(default=(), description="which shoppers see which variant of a shelf or list")


C = TypeVar("C", bound=Configuration)


def load(environ: Mapping[str, str] | None = None, folder: Path | None = None) -> Configuration:
    """Read file and environment; raises ``ConfigurationError`` that names each wrong key and what it accepts."""
    return load_as(Configuration, environ, folder)


def load_as(model: type[C], environ: Mapping[str, str] | None = None, folder: Path | None = None) -> C:
    """``load`` for a configuration with more sections."""
    environ = os.environ if environ is None else environ
    folder = folder or Path.cwd()
    named = environ.get(CONFIG_VARIABLE)
    path = folder / (named or DEFAULT_FILE)
    content = _read(path) if named or path.is_file() else {}
    for variable, text in sorted(environ.items()):
        keys = _keys(variable)
        if keys is not None:
            _put(content, keys, text, variable)
    for section in STOREFRONT_SECTIONS - model.model_fields.keys():
        content.pop(section, None)
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise ConfigurationError(_explain(error)) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"cannot read the configuration {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not TOML: {error}") from error


def _keys(variable: str) -> list[str] | None:
    """Where in the configuration a variable belongs; None for one that is not ours."""
    if variable in _OTHER_VARIABLES:
        return None
    if variable.startswith(_PREFIX):
        return variable[len(_PREFIX) :].lower().split("__")
    name = variable[len(_KAFKA_PREFIX) :].lower()
    if variable.startswith(_KAFKA_PREFIX) and (
        name in KafkaSettings.model_fields or variable.startswith(_GUARDED_KAFKA)
    ):
        return ["kafka", name]
    return None


def _put(content: dict[str, Any], keys: list[str], text: str, variable: str) -> None:
    section = content
    for key in keys[:-1]:
        section = section.setdefault(key, {})
        if not isinstance(section, dict):
            raise ConfigurationError(f"{variable} goes below {key}, which is not a section")
    section[keys[-1]] = _value(text)


def _value(text: str) -> Any:
    """Lists and tables are given as JSON; everything else is text that the setting's type reads."""
    if text[:1] in ("[", "{"):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _explain(error: ValidationError) -> str:
    """One line for all that is wrong; never the values, for they may be secrets."""
    problems = []
    for problem in error.errors(include_url=False, include_context=False, include_input=False):
        place = ".".join(str(part) for part in problem["loc"])
        unknown = problem["type"] == "extra_forbidden"
        problems.append(f"{place}: {'there is no such setting' if unknown else problem['msg']}")
    return "configuration: " + "; ".join(problems)
