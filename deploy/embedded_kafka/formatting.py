"""Prepares a data folder for KRaft, once; a folder that was left half prepared is prepared anew."""

from __future__ import annotations

import base64
import shutil
import subprocess
import uuid
from pathlib import Path

from deploy.embedded_kafka.distribution import Distribution
from deploy.embedded_kafka.errors import EmbeddedKafkaError

_TIMEOUT_SECONDS = 60.0
_WITHOUT_DATA = {"bootstrap.checkpoint", ".lock", "__cluster_metadata-0", "meta.properties"}
"""What a folder holds before the first topic is created."""
_META = "meta.properties"


def format_storage(distribution: Distribution, properties: Path, data: Path) -> None:
    """Format ``data`` unless it is; raises ``EmbeddedKafkaError`` where it holds topics and cannot be used.

    A copy of ``meta.properties``, which a crash of the machine can leave empty, is kept beside the folder.
    """
    meta, copy = data / _META, data.with_name(f"{data.name}.{_META}")
    if not _is_whole(meta):
        topics = _topics_in(data)
        if topics and not _is_whole(copy):
            raise EmbeddedKafkaError(
                f"{data} holds data ({', '.join(topics[:3])}…) but its meta.properties is missing or damaged; "
                "restore that file, or move the folder away to begin with an empty one"
            )
        if topics:
            shutil.copyfile(copy, meta)
        else:
            _format(distribution, properties, data)
    if not _is_whole(copy) or copy.read_bytes() != meta.read_bytes():
        shutil.copyfile(meta, copy)


def _topics_in(data: Path) -> list[str]:
    return sorted(path.name for path in data.iterdir() if path.name not in _WITHOUT_DATA) if data.is_dir() else []


def _format(distribution: Distribution, properties: Path, data: Path) -> None:
    if data.is_dir():
        shutil.rmtree(data)
    command = [
        *(str(distribution.java), "-cp", distribution.classpath, "kafka.tools.StorageTool"),
        *("format", "--cluster-id", _cluster_id(), "--config", str(properties)),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EmbeddedKafkaError(f"formatting {data} did not finish: {error}") from error
    if done.returncode != 0 or not _is_whole(data / _META):
        raise EmbeddedKafkaError(f"formatting {data} failed: {(done.stderr or done.stdout).strip()[-500:]}")


def _is_whole(meta: Path) -> bool:
    try:
        text = meta.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    keys = {line.partition("=")[0].strip() for line in text.splitlines()}
    return {"cluster.id", "node.id", "version"} <= keys


def _cluster_id() -> str:
    """A random id in Kafka's own form; one that begins with a dash would be read as an option."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        if not text.startswith("-"):
            return text
