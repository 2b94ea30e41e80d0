"""``recsys kafka``: the embedded broker, and the topics on whatever cluster is configured."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from deploy.embedded_kafka import EmbeddedKafka
    from schemas.kafka_settings import KafkaSettings

app = typer.Typer(help="Start, stop and watch the embedded Kafka; create topics on any.", no_args_is_help=True)

Port = Annotated[int | None, typer.Option(help="Port on 127.0.0.1.", show_default="9092")]
DataDir = Annotated[Path | None, typer.Option(help="Folder of its data and log.", show_default="per user")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def up(port: Port = None, data_dir: DataDir = None) -> None:
    """Start the embedded Kafka, wait until it answers, and create the topics.

    With KAFKA_BOOTSTRAP_SERVERS set nothing is started: the topics are created on that cluster.
    """
    from consumers.configuration import load

    kafka = load().kafka
    if kafka.embedded:
        with fetching() as on_fetched:
            address = _broker(port, data_dir).up(on_fetched).bootstrap_servers
        kafka = kafka.model_copy(update={"bootstrap_servers": address})
        _say(f"Kafka answers at {address}")
        if port is not None:
            _say(f"Processes find it there with KAFKA_BOOTSTRAP_SERVERS={address}")
    else:
        _say(f"KAFKA_BOOTSTRAP_SERVERS is set, so the cluster at {kafka.bootstrap_servers} is used")
    _ensure(kafka)


@app.command()
def down(data_dir: DataDir = None) -> None:
    """Stop the embedded Kafka; its data is kept."""
    _say("Kafka is stopped" if _broker(None, data_dir).down() else "no embedded Kafka was running")


@app.command()
def status(data_dir: DataDir = None, as_json: Json = False) -> None:
    """Tell whether the embedded Kafka runs, and where; exit status 1 when it does not."""
    found = _broker(None, data_dir).status()
    if as_json:
        sys.stdout.write(json.dumps(found.as_dict()) + "\n")
    elif found.running:
        topics = "does not answer yet" if found.topics is None else f"{len(found.topics)} topics"
        _say(
            f"Kafka runs at {found.bootstrap_servers} (pid {found.pid}; {topics}; {found.kafka}; "
            f"data in {found.data_dir})"
        )
    else:
        _say(f"no embedded Kafka runs on {found.data_dir}; start it with `recsys kafka up`")
    if not found.running:
        raise typer.Exit(1)


@app.command()
def topics() -> None:
    """Create the topics that are missing on the configured cluster, and check those that exist."""
    from consumers.configuration import load

    _ensure(load().kafka)


@contextmanager
def fetching() -> Iterator[Callable[[int, int], None]]:
    """A progress bar for the jars; it appears only when something has to be fetched."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    progress = Progress(*columns, console=Console(stderr=True), transient=True)
    task = progress.add_task("fetching Apache Kafka, once", total=None)

    def on_fetched(done: int, total: int) -> None:
        progress.start()
        progress.update(task, completed=done, total=total)

    try:
        yield on_fetched
    finally:
        if progress.live.is_started:
            progress.stop()


def _broker(port: int | None, data_dir: Path | None) -> EmbeddedKafka:
    from deploy.embedded_kafka import EmbeddedKafka, EmbeddedKafkaSettings

    given = {"port": port, "data_dir": data_dir}
    return EmbeddedKafka(EmbeddedKafkaSettings(**{k: v for k, v in given.items() if v is not None}))  # type: ignore[arg-type]


def _ensure(kafka: KafkaSettings) -> None:
    from deploy.topics import ensure_topics

    report = ensure_topics(kafka)
    _say(f"{len(report.created)} topics created, {len(report.existing)} were there")
    for difference in report.differences:
        _say(f"note: {difference}")


def _say(text: str) -> None:
    from rich.console import Console

    Console(stderr=True, soft_wrap=True, highlight=False).print(text, markup=False)
