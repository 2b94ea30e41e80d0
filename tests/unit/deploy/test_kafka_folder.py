"""The embedded broker's folder: prepared, damaged, locked; its properties and its log. No Java here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deploy.embedded_kafka import EmbeddedKafkaSettings, formatting
from deploy.embedded_kafka.broker_log import BrokerLog
from deploy.embedded_kafka.distribution import Distribution
from deploy.embedded_kafka.errors import EmbeddedKafkaError
from deploy.embedded_kafka.formatting import format_storage
from deploy.embedded_kafka.locking import locked
from deploy.embedded_kafka.process import find, signature
from deploy.embedded_kafka.server_properties import server_properties

META = "cluster.id=abc\nnode.id=1\nversion=1\n"
DISTRIBUTION = Distribution(Path("java"), "classpath", "test")


@pytest.fixture
def formatted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """Calls of Kafka's formatting tool, which writes what the real one does."""
    calls: list[list[str]] = []

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        data = tmp_path / "data"
        data.mkdir(exist_ok=True)
        (data / "bootstrap.checkpoint").touch()
        (data / "meta.properties").write_text(META)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(formatting.subprocess, "run", run)
    return calls


def prepare(folder: Path) -> None:
    format_storage(DISTRIBUTION, folder / "server.properties", folder / "data")


def test_an_empty_folder_is_formatted_once(formatted: list[list[str]], tmp_path: Path) -> None:
    prepare(tmp_path)
    prepare(tmp_path)
    (command,) = formatted
    assert "kafka.tools.StorageTool" in command
    assert not command[command.index("--cluster-id") + 1].startswith("-")


def test_a_half_formatted_folder_is_formatted_anew(formatted: list[list[str]], tmp_path: Path) -> None:
    (tmp_path / "data/__cluster_metadata-0").mkdir(parents=True)
    (tmp_path / "data/__cluster_metadata-0/00000000000000000000.log").write_bytes(b"half")
    (tmp_path / "data/meta.properties").write_bytes(b"clus")
    prepare(tmp_path)
    assert len(formatted) == 1
    assert not (tmp_path / "data/__cluster_metadata-0").exists()


@pytest.mark.parametrize("damage", [b"", b"\x00" * 90, b"cluster.id=abc\n", None])
def test_a_damaged_meta_properties_is_restored(
    formatted: list[list[str]], tmp_path: Path, damage: bytes | None
) -> None:
    prepare(tmp_path)
    (tmp_path / "data/pdp-view-0").mkdir()
    meta = tmp_path / "data/meta.properties"
    meta.unlink() if damage is None else meta.write_bytes(damage)
    prepare(tmp_path)
    assert meta.read_text() == META
    assert (tmp_path / "data/pdp-view-0").is_dir()
    assert len(formatted) == 1


def test_data_that_nothing_is_known_of_is_never_deleted(formatted: list[list[str]], tmp_path: Path) -> None:
    (tmp_path / "data/pdp-view-0").mkdir(parents=True)
    with pytest.raises(EmbeddedKafkaError, match=r"holds data \(pdp-view-0…\) but its meta.properties is missing"):
        prepare(tmp_path)
    assert (tmp_path / "data/pdp-view-0").is_dir()
    assert formatted == []


def test_a_folder_moved_away_is_not_mixed_up_with_the_new_one(
    formatted: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(tmp_path)
    (tmp_path / "data").rename(tmp_path / "old")
    monkeypatch.setattr(sys.modules[__name__], "META", META.replace("abc", "xyz"))
    prepare(tmp_path)
    (tmp_path / "data/pdp-view-0").mkdir()
    (tmp_path / "data/meta.properties").unlink()
    prepare(tmp_path)
    assert "cluster.id=xyz" in (tmp_path / "data/meta.properties").read_text()


def test_a_tool_that_fails_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    failed = subprocess.CompletedProcess([], 1, "", "Invalid cluster.id in: …")
    monkeypatch.setattr(formatting.subprocess, "run", lambda *args, **options: failed)
    with pytest.raises(EmbeddedKafkaError, match=r"failed: Invalid cluster.id in"):
        prepare(tmp_path)

    def hang(*args: Any, **options: Any) -> None:
        raise subprocess.TimeoutExpired("java", 60)

    monkeypatch.setattr(formatting.subprocess, "run", hang)
    with pytest.raises(EmbeddedKafkaError, match="did not finish: Command 'java' timed out after 60 seconds"):
        prepare(tmp_path)


def test_a_lock_is_waited_for_and_then_told(tmp_path: Path) -> None:
    with (
        locked(tmp_path / "lock", 1.0, "starting this broker"),
        pytest.raises(EmbeddedKafkaError, match=r"has been starting this broker for over 0 s .* end it first"),
        locked(tmp_path / "lock", 0.0, "starting this broker"),
    ):
        pass
    with locked(tmp_path / "lock", 0.0, "starting this broker"):
        pass


def test_properties_name_any_folder_as_java_reads_it() -> None:
    text = server_properties(9092, 9093, Path("/home/zoë/a b\\c/😀"))
    assert "log.dirs=/home/zo\\u00eb/a b\\u005cc/\\ud83d\\ude00\n" in text
    assert text.isascii()
    with pytest.raises(EmbeddedKafkaError, match="reads /a,b as several folders; name one without a comma"):
        server_properties(9092, 9093, Path("/a,b"))


def test_only_loopback_is_listened_on_and_topics_are_never_made_by_accident() -> None:
    lines = dict(line.split("=", 1) for line in server_properties(9092, 9093, Path("/d")).splitlines())
    assert lines["listeners"] == "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093"
    assert lines["auto.create.topics.enable"] == "false"


def test_the_last_words_are_of_this_start_and_without_stack_frames(tmp_path: Path) -> None:
    log = BrokerLog(tmp_path)
    assert log.last_words() == f"its log is {tmp_path}/kafka.log"
    log.path.write_text("ERROR of an earlier start\n")
    log.begin()
    log.output.write_text("OpenJDK warning\n\n")
    with log.path.open("a") as file:
        file.write("ERROR Address already in use\n\tat java.base/sun.nio.ch\n" * 2)
    said = log.last_words()
    assert said.splitlines()[1:] == ["OpenJDK warning", *["ERROR Address already in use"] * 2]
    assert "earlier" not in said
    log.path.write_text("ERROR rolled over\n")
    assert "ERROR rolled over" in log.last_words()


def test_a_broker_is_known_by_its_command_line_alone(tmp_path: Path) -> None:
    """A process with a reused pid, or one that only speaks of the folder, is never taken for the broker."""
    wait = "import sys; sys.stdin.read()"
    folder, other = tmp_path / "kafka", tmp_path / "kafka-2"
    arguments = {"broker": [*signature(folder, 1234, "Kafka of a test"), "kafka.Kafka"], "talk": [str(folder)]}
    started = {
        name: subprocess.Popen([sys.executable, "-c", wait, *rest], stdin=subprocess.PIPE)
        for name, rest in arguments.items()
    }
    try:
        found = find(folder)
        assert found is not None
        assert (found.process.pid, found.port, found.origin) == (started["broker"].pid, 1234, "Kafka of a test")
        assert found.alive
        assert find(other) is None
        found.stop(5.0)
        assert not found.alive
        assert find(folder) is None
        found.stop(5.0)
    finally:
        for process in started.values():
            process.kill()
            process.communicate()


@pytest.mark.parametrize("given", [{"port": -1}, {"heap": 1}, {"heap_mb": 10}, {"start_timeout_seconds": 0}])
def test_settings_are_bounded_and_known(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        EmbeddedKafkaSettings(**given)


def test_folders_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RECSYS_CACHE_DIR", str(tmp_path / "c"))
    monkeypatch.setenv("RECSYS_DATA_DIR", str(tmp_path / "d"))
    settings = EmbeddedKafkaSettings()
    assert settings.cache_dir == tmp_path / "c"
    assert settings.data_dir == tmp_path / "d/kafka"
