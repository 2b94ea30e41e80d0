"""Refuses a schema change that would make messages unreadable, and publishes the next version of a schema.

    python -m schemas.compatibility                  check every schema; exit status 1 when something is wrong
    python -m schemas.compatibility publish [TOPIC]  write what changed to schemas/published/<topic>/vN.avsc

Stages and storefronts are upgraded one after another, and compacted topics keep messages for ever. So old code
meets new messages, and new code meets messages of every version: the rule is FULL_TRANSITIVE, every version
readable with every other one. In practice: new fields have a default, only fields with a default are removed,
and types stay. A published default stays too, or one message would read differently in old and new code.

A reader looks the writer's schema up by its fingerprint. To be read during a rolling upgrade as well, publish a
version and roll it out to every reader before the ``.avsc`` in ``schemas/avro`` is changed to it: that file, what
this code writes, may be any published version.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from fastavro import parse_schema
from fastavro.schema import SchemaParseException

from schemas.errors import IncompatibleSchemaError
from schemas.packing import TYPE_CODES
from schemas.registry import EVENT_TYPES, Schema, crc64_fingerprint, current_schema, published_schemas
from schemas.resolution import fields, why_unreadable

SCHEMAS_DIR = Path(__file__).parent

_NUMBERS = {"int", "long", "float", "double"}
_TIME_WORDS = re.compile(r"(^|_)(time|times|timestamp|at|age|ttl|delay|duration|interval|timeout|retention)(_|$)")
_TIME_UNIT = re.compile(r"_(ms|seconds|days)$")


def check(topics: Sequence[str] = tuple(EVENT_TYPES), folder: Path = SCHEMAS_DIR) -> list[str]:
    """Everything that is wrong with the schemas of these topics, a line each; empty when all is well."""
    return [f"{topic}: {problem}" for topic in topics for problem in _problems(topic, folder)]


def publish(topic: str, folder: Path = SCHEMAS_DIR) -> Path | None:
    """Write the current schema as the topic's next version; None when it is published already.

    Raises ``IncompatibleSchemaError`` with every reason when it may not be.
    """
    current = _read(topic, folder)
    problems = [
        *_incompatibilities(topic, current, folder),
        *_undocumented(current),
        *_unknown_packing(current),
    ]
    if problems:
        raise IncompatibleSchemaError("\n".join(f"{topic}: {problem}" for problem in problems))
    if _is_published(topic, current, folder):
        return None
    path = folder / "published" / topic / f"v{len(published_schemas(topic, folder)) + 1}.avsc"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(current, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def _problems(topic: str, folder: Path) -> Iterator[str]:
    try:
        current = _read(topic, folder)
    except IncompatibleSchemaError as error:
        yield str(error)
        return
    yield from _undocumented(current)
    yield from _unknown_packing(current)
    names = [name for name, _ in published_schemas(topic, folder)]
    if names != [f"v{number}.avsc" for number in range(1, len(names) + 1)]:
        yield f"published versions are {', '.join(names)}; number them v1, v2, … without a gap"
    incompatible = list(_incompatibilities(topic, current, folder))
    yield from incompatible
    if not incompatible and not _is_published(topic, current, folder):
        yield f"changed compatibly, but not published; run `python -m schemas.compatibility publish {topic}`"


def _read(topic: str, folder: Path) -> Schema:
    try:
        schema = current_schema(topic, folder)
        parse_schema(schema)
    except (OSError, ValueError, KeyError, SchemaParseException) as error:
        raise IncompatibleSchemaError(f"{topic}.avsc is no Avro schema: {error!r}") from error
    return schema


def _is_published(topic: str, current: Schema, folder: Path) -> bool:
    """Fingerprints leave docs out, so a better explanation is no new version."""
    own = crc64_fingerprint(current)
    return any(crc64_fingerprint(schema) == own for _, schema in published_schemas(topic, folder))


def _incompatibilities(topic: str, current: Schema, folder: Path) -> Iterator[str]:
    versions = [*published_schemas(topic, folder), (f"{topic}.avsc", current)]
    for number, (old_name, old) in enumerate(versions):
        for new_name, new in versions[number + 1 :]:
            for problem in why_unreadable(new, old):
                yield f"{new_name} cannot read what {old_name} wrote: {problem}"
            for problem in why_unreadable(old, new):
                yield f"{old_name} cannot read what {new_name} writes: {problem}"
            for problem in _broken_promises(old, new):
                yield f"{new_name} against {old_name}: {problem}"


def _broken_promises(old: Schema, new: Schema) -> Iterator[str]:
    now = dict(fields(new))
    for path, field in fields(old):
        packed, packed_now = (_packed(one) for one in (field, now.get(path, field)))
        if packed != packed_now:
            yield f"{path} was packed as {packed} and is now as {packed_now}; keep it, or give it another name"
        if "default" not in field or path not in now:
            continue
        default = json.dumps(field["default"])
        if "default" not in now[path]:
            yield f"{path} lost its default {default}; keep it, old code still goes by it"
        elif now[path]["default"] != field["default"]:
            yield (
                f"the default of {path} changed from {default} to {json.dumps(now[path]['default'])}; "
                "keep it, or one message reads differently in old and new code"
            )


def _packed(field: Schema) -> object:
    """How a field's bytes are to be read, which resolution knows nothing of."""
    return field["type"].get("packed") if isinstance(field["type"], dict) else None


def _undocumented(schema: Schema) -> Iterator[str]:
    """Fields without a doc, and times without their unit."""
    if not str(schema.get("doc", "")).strip():
        yield "the record has no doc"
    for path, field in fields(schema):
        doc = str(field.get("doc", "")).strip()
        if not doc:
            yield f"{path} has no doc; say what it is, and its unit"
        name = str(field["name"])
        is_time = _TIME_WORDS.search(name) is not None or "millisecond" in doc
        if is_time and _is_number(field["type"]) and not _TIME_UNIT.search(name):
            yield f"{path} is a time without its unit; end the name in _ms, _seconds or _days"
        if name.endswith("_ms") and doc and "millisecond" not in doc:
            yield f"{path} is in milliseconds, and its doc does not say so"


def _unknown_packing(schema: Schema) -> Iterator[str]:
    for path, field in fields(schema):
        packed = _packed(field)
        if packed is not None and packed not in TYPE_CODES:
            yield f"{path} is packed as {packed}; choose one of {', '.join(TYPE_CODES)}"


def _is_number(kind: object) -> bool:
    if isinstance(kind, list):
        return any(_is_number(branch) for branch in kind)
    if isinstance(kind, dict):
        return _is_number(kind.get("items", kind.get("values", kind.get("type"))))
    return kind in _NUMBERS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m schemas.compatibility", description="Check or publish schemas."
    )
    parser.add_argument("action", nargs="?", choices=("check", "publish"), default="check")
    parser.add_argument("topics", nargs="*", metavar="TOPIC", help="topics; all of them unless named")
    parser.add_argument("--folder", type=Path, default=SCHEMAS_DIR, help="folder that holds avro/ and published/")
    given = parser.parse_args(arguments)
    unknown = sorted(set(given.topics) - set(EVENT_TYPES))
    if unknown:
        parser.error(f"no schema belongs to {', '.join(unknown)}; topics: {', '.join(EVENT_TYPES)}")
    topics = given.topics or list(EVENT_TYPES)
    if given.action == "publish":
        return _publish_all(topics, given.folder)
    problems = check(topics, given.folder)
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        print(f"{len(topics)} schemas are published, and every version can be read with every other")
    return 1 if problems else 0


def _publish_all(topics: Sequence[str], folder: Path) -> int:
    failed = 0
    for topic in topics:
        try:
            path = publish(topic, folder)
        except IncompatibleSchemaError as error:
            print(error, file=sys.stderr)
            failed = 1
        else:
            print(f"{topic}: " + (f"wrote {path}" if path is not None else "published already"))
    return failed


if __name__ == "__main__":
    sys.exit(main())
