"""Which schema belongs to which topic, and which earlier versions were published."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, cast

from fastavro import parse_schema
from fastavro.schema import fingerprint, to_parsing_canonical_form

from schemas import events
from schemas.topics import TOPICS

Schema = dict[str, Any]

EVENT_TYPES: dict[str, type[Any]] = {
    "product-created": events.ProductCreated,
    "pdp-view": events.PdpView,
    "cart-add": events.CartAdd,
    "purchase": events.Purchase,
    "impression": events.Impression,
    "click": events.Click,
    "user-updated": events.UserUpdated,
    "session-joined": events.SessionJoined,
    "session-history": events.SessionHistory,
    "image-features": events.ImageFeature,
    "interaction-state": events.UserHistory,
    "co-visits": events.CoVisits,
    "segment-visits": events.SegmentVisits,
    "blend-state": events.BlendState,
    "item-state": events.ItemState,
    "trending-state": events.TrendingState,
    "similar-state": events.SimilarState,
    "item-factors": events.ItemFactors,
    "profile-factors": events.ProfileFactors,
    "refit-factors": events.RefitFactors,
    "recommendation-updated": events.RecommendationUpdated,
    "outcome-state": events.OutcomeState,
    "recommendation-outcomes": events.RecommendationOutcome,
}
"""The event type on each topic; the dead-letter topic carries bytes of any origin and has none."""


@dataclass(frozen=True, slots=True)
class Contract:
    """One topic's reader schema, and every schema that it may meet on the wire by its fingerprint."""

    topic_name: str
    reader: Schema
    fingerprint: bytes
    writers: dict[bytes, Schema]
    max_message_bytes: int


def crc64_fingerprint(schema: Schema) -> bytes:
    """CRC-64-AVRO of the parsing canonical form, 8 bytes little-endian (Avro 1.12, single-object encoding)."""
    return bytes.fromhex(fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"))


def current_schema(topic_name: str, folder: Traversable | None = None) -> Schema:
    """The schema that this version of the project writes, as it stands in its ``.avsc``."""
    text = _folder(folder).joinpath("avro", f"{topic_name}.avsc").read_text(encoding="utf-8")
    schema: Schema = json.loads(text)
    return schema


def published_schemas(topic_name: str, folder: Traversable | None = None) -> list[tuple[str, Schema]]:
    """Every published version, oldest first, as (file name, schema)."""
    versions = _folder(folder).joinpath("published", topic_name)
    if not versions.is_dir():
        return []
    files = sorted((f for f in versions.iterdir() if f.name.endswith(".avsc")), key=_version)
    return [(f.name, json.loads(f.read_text(encoding="utf-8"))) for f in files]


def _folder(folder: Traversable | None) -> Traversable:
    """The folder that holds ``avro`` and ``published``: this package unless another is named."""
    return resources.files("schemas") if folder is None else folder


def _version(file: Traversable) -> tuple[int, str]:
    """By number, for v10 comes after v9; a name without one goes first, and the check names it."""
    number = re.fullmatch(r"v(\d+)\.avsc", file.name)
    return (int(number.group(1)) if number else 0, file.name)


def _parsed(schema: Schema) -> Schema:
    return cast("Schema", parse_schema(schema))


@cache
def contract(topic_name: str) -> Contract:
    """The contract of one topic; topics without a schema raise ``KeyError``."""
    if topic_name not in EVENT_TYPES:
        raise KeyError(topic_name)
    reader = current_schema(topic_name)
    writers = {crc64_fingerprint(s): _parsed(s) for _, s in published_schemas(topic_name)}
    own = crc64_fingerprint(reader)
    parsed = _parsed(reader)
    writers[own] = parsed
    return Contract(topic_name, parsed, own, writers, TOPICS[topic_name].max_message_bytes)
