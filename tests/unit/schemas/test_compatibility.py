"""Changes to published schemas: what may be published, what is refused, and that all is well as it stands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from avro_data import field, record, records, written_by_fastavro
from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import MARKER, decode
from schemas.compatibility import check, main, publish
from schemas.errors import IncompatibleSchemaError
from schemas.registry import EVENT_TYPES, crc64_fingerprint, current_schema, published_schemas

TOPIC = "pdp-view"
BASE = (field("id", "string"), field("event_time_ms", "long"), field("note", "string", default="n"))

VERSIONS = [(topic, name, schema) for topic in EVENT_TYPES for name, schema in published_schemas(topic)]


def write(folder: Path, schema: dict[str, Any]) -> None:
    (folder / "avro").mkdir(exist_ok=True)
    (folder / "avro" / f"{TOPIC}.avsc").write_text(json.dumps(schema))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One topic with one published version."""
    write(tmp_path, record(*BASE))
    assert publish(TOPIC, tmp_path) == tmp_path / "published" / TOPIC / "v1.avsc"
    return tmp_path


def test_the_projects_own_schemas_are_published_and_compatible() -> None:
    assert check() == []
    assert {topic for topic, _, _ in VERSIONS} == set(EVENT_TYPES)


@pytest.mark.parametrize(("topic", "version", "schema"), VERSIONS, ids=[f"{t}-{v}" for t, v, _ in VERSIONS])
@given(data=st.data())
def test_every_schema_reads_what_its_predecessors_wrote(
    topic: str, version: str, schema: dict[str, Any], data: st.DataObject
) -> None:
    written = data.draw(records(schema))
    if written.get("user_id", "") is None and written["session_id"] is None:
        written["session_id"] = "guest"
    event = decode(topic, MARKER + crc64_fingerprint(schema) + written_by_fastavro(schema, written))
    for name in {one["name"] for one in current_schema(topic)["fields"]} & set(written):
        if name != "items":
            assert getattr(event, name) == written[name]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (BASE[:2], None),
        ((*BASE, field("extra", "string", default="")), None),
        ((BASE[2], BASE[1], BASE[0]), None),
        ((*BASE, field("extra", "string")), "cannot read what v1.avsc wrote: extra is missing"),
        ((BASE[0], BASE[2]), "v1.avsc cannot read what pdp-view.avsc writes: event_time_ms is missing"),
        ((field("id", "long"), *BASE[1:]), "id was written as string and cannot be read as long"),
        ((field("id", ["null", "string"], default=None), *BASE[1:]), "id was written as null"),
        ((BASE[0], field("event_time_ms", "double"), BASE[2]), "event_time_ms was written as double"),
        ((field("key", "string"), *BASE[1:]), "key is missing"),
        ((*BASE[:2], field("note", "string")), 'note lost its default "n"'),
        ((*BASE[:2], field("note", "string", default="m")), 'default of note changed from "n" to "m"'),
        ((*BASE, {"name": "extra", "type": "string", "default": ""}), "extra has no doc"),
        ((*BASE, field("seen_at", "long", default=0)), "seen_at is a time without its unit"),
        ((*BASE, field("times", {"type": "array", "items": "long"}, default=[])), "times is a time without its"),
    ],
)
def test_a_change_is_published_or_refused(folder: Path, fields: Any, reason: str | None) -> None:
    write(folder, record(*fields))
    if reason is None:
        (problem,) = check([TOPIC], folder)
        assert "not published; run `python -m schemas.compatibility publish pdp-view`" in problem
        assert publish(TOPIC, folder) == folder / "published" / TOPIC / "v2.avsc"
        assert check([TOPIC], folder) == []
    else:
        assert any(reason in problem for problem in check([TOPIC], folder))
        with pytest.raises(IncompatibleSchemaError) as refused:
            publish(TOPIC, folder)
        assert reason in str(refused.value)
        assert len(published_schemas(TOPIC, folder)) == 1


def test_every_earlier_version_counts_and_not_only_the_last(folder: Path) -> None:
    write(folder, record(*BASE[:2]))
    publish(TOPIC, folder)
    write(folder, record(*BASE[:2], field("note", "long", default=0)))
    problems = check([TOPIC], folder)
    assert problems
    assert all("v1.avsc" in problem for problem in problems)


def test_a_better_doc_is_no_new_version(folder: Path) -> None:
    write(folder, record({**BASE[0], "doc": "The id, explained better."}, *BASE[1:]))
    assert check([TOPIC], folder) == []
    assert publish(TOPIC, folder) is None


def test_readers_may_know_a_version_before_it_is_written(folder: Path) -> None:
    write(folder, record(*BASE, field("extra", "string", default="")))
    publish(TOPIC, folder)
    write(folder, record(*BASE))
    assert check([TOPIC], folder) == []


def test_versions_are_ordered_by_number(folder: Path) -> None:
    for number in range(2, 12):
        write(folder, record(*BASE, *(field(f"extra{n}", "string", default="") for n in range(number))))
        publish(TOPIC, folder)
    assert [name for name, _ in published_schemas(TOPIC, folder)][-2:] == ["v10.avsc", "v11.avsc"]


def test_bytes_stay_packed_as_they_were(folder: Path) -> None:
    def packed(name: str) -> dict[str, Any]:
        return record(*BASE, field("sums", {"type": "bytes", "packed": name}, default=""))

    write(folder, packed("int7"))
    assert f"{TOPIC}: sums is packed as int7; choose one of int64, uint8, float64" in check([TOPIC], folder)
    write(folder, packed("int64"))
    assert publish(TOPIC, folder) is not None
    write(folder, packed("float64"))
    with pytest.raises(IncompatibleSchemaError, match="sums was packed as int64 and is now as float64"):
        publish(TOPIC, folder)


def test_a_gap_in_the_versions_is_named(folder: Path) -> None:
    (folder / "published" / TOPIC / "v1.avsc").rename(folder / "published" / TOPIC / "v2.avsc")
    assert any("without a gap" in problem for problem in check([TOPIC], folder))


@pytest.mark.parametrize("text", ["{", '{"type": "record"}', '{"type": "recrod", "name": "A", "fields": []}'])
def test_what_is_no_schema_is_named(folder: Path, text: str) -> None:
    (folder / "avro" / f"{TOPIC}.avsc").write_text(text)
    (problem,) = check([TOPIC], folder)
    assert "pdp-view.avsc is no Avro schema" in problem


def test_the_command_checks_publishes_and_refuses(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", TOPIC, "--folder", str(folder)]) == 0
    write(folder, record(*BASE, field("extra", "string", default="")))
    assert main(["check", TOPIC, "--folder", str(folder)]) == 1
    assert "not published" in capsys.readouterr().err
    assert main(["publish", TOPIC, "--folder", str(folder)]) == 0
    assert main(["publish", TOPIC, "--folder", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "v2.avsc" in said
    assert "published already" in said
    write(folder, record(*BASE[1:]))
    assert main(["publish", TOPIC, "--folder", str(folder)]) == 1
    assert "v1.avsc cannot read what pdp-view.avsc writes: id is missing" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["check", "pdp-views"])
