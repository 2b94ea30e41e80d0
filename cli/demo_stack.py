"""What a demo runs on: a catalogue, a Kafka of its own, topics, and every stage as a process."""

from __future__ import annotations

import json
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from deploy.embedded_kafka.settings import data_dir
from deploy.supervisor import ProcessSpec
from producers.catalogue import Catalogue
from producers.tables import AcceptedRow
from schemas.errors import ConfigurationError
from schemas.events import ProductCreated
from schemas.kafka_settings import KafkaSettings

METRICS_HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class CatalogueWish:
    """The shop's own catalogue, or how many products to render from which seed."""

    path: Path | None
    products: int
    seed: int


@dataclass(frozen=True, slots=True)
class DemoCatalogue:
    """The products to publish, and the folder that their pictures are below."""

    name: str
    products: Sequence[ProductCreated]
    images_dir: Path
    rejected: Sequence[str] = ()
    """Rows that became nothing, and why."""

    @property
    def headline(self) -> str:
        """What the shop sells, in a line."""
        categories = len({product.category for product in self.products})
        return f"{self.name}: {len(self.products):,} products in {categories} categories"


@contextmanager
def workspace(*, keep: bool) -> Iterator[Path]:
    """A folder for everything that the demo writes; removed at the end unless it is to be kept."""
    if keep:
        folder = data_dir() / "demo"
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="recsys-demo-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def prepare_catalogue(wish: CatalogueWish, folder: Path) -> Future[DemoCatalogue]:
    """Begin to read or to render the catalogue, on a thread that does not hold up the end of the process.

    Raises ``UnreadableSourceError`` at once where there is no catalogue at the path.
    """
    if wish.path is not None:
        Catalogue(wish.path, 0)
    prepared: Future[DemoCatalogue] = Future()

    def prepare() -> None:
        try:
            prepared.set_result(_catalogue(wish, folder))
        except Exception as error:  # handed to whoever asks for the result
            prepared.set_exception(error)

    threading.Thread(target=prepare, name="catalogue", daemon=True).start()
    return prepared


def _catalogue(wish: CatalogueWish, folder: Path) -> DemoCatalogue:
    path, name = wish.path, "a shop"
    if path is None:
        from producers.rendered_catalogue import render_catalogue

        path = folder / f"catalogue-{wish.products}-{wish.seed}"
        render_catalogue(path, products=wish.products, seed=wish.seed)
    else:
        name = path.resolve().name
    catalogue = Catalogue(path, time.time_ns() // 1_000_000)
    products: list[ProductCreated] = []
    rejected: list[str] = []
    for row in catalogue.rows():
        if isinstance(row, AcceptedRow):
            products.append(row.event)
        else:
            rejected.append(f"line {row.line}: {row.reason}")
    if not products:
        raise ConfigurationError(f"there is no product in {path}" + (f": {rejected[0]}" if rejected else ""))
    return DemoCatalogue(name, products, catalogue.images_dir, rejected)


@dataclass(frozen=True, slots=True)
class StageProcesses:
    """How to start every stage, and where each serves its metrics."""

    specs: Sequence[ProcessSpec]
    metrics_urls: Mapping[str, str]


def stage_processes(stages: Sequence[str], settings: KafkaSettings, images_dir: Path) -> StageProcesses:
    """One process a stage, on a free port of the loopback interface."""
    specs, urls = [], {}
    for name, port in zip(stages, free_ports(len(stages)), strict=True):
        environment = {
            **kafka_environment(settings),
            "RECSYS_IMAGES__FETCH__IMAGES_DIR": str(images_dir),
            "RECSYS_RUNTIME__INSTANCE": "demo",
            "RECSYS_RUNTIME__METRICS_HOST": METRICS_HOST,
            "RECSYS_RUNTIME__METRICS_PORT": str(port),
        }
        urls[name] = f"http://{METRICS_HOST}:{port}/metrics"
        command = [sys.executable, "-m", "cli.main", "run", name]
        specs.append(ProcessSpec(name, command, environment, f"http://{METRICS_HOST}:{port}/ready"))
    return StageProcesses(specs, urls)


SHOP_PORT = 8080


@dataclass(frozen=True, slots=True)
class ShopProcess:
    """How to start the shop's pages and their API, and where they are then."""

    spec: ProcessSpec
    url: str


def shop_process(settings: KafkaSettings, images_dir: Path, shoppers: Sequence[str], port: int) -> ShopProcess:
    """The process that serves, on the loopback interface; ``shoppers`` can be switched between."""
    url = f"http://{METRICS_HOST}:{port}"
    environment = {
        **kafka_environment(settings),
        "RECSYS_IMAGES__FETCH__IMAGES_DIR": str(images_dir),
        "RECSYS_API__HOST": METRICS_HOST,
        "RECSYS_API__PORT": str(port),
        "RECSYS_API__IMAGE_BASE_URL": "/images/",
        "RECSYS_SHOP__SHOPPERS": json.dumps(list(shoppers)),
    }
    command = [sys.executable, "-m", "cli.main", "serve"]
    return ShopProcess(ProcessSpec("shop", command, environment, f"{url}/ready"), url)


def port_like(wanted: int) -> int:
    """The port where nobody listens on it, else any that is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            probe.bind((METRICS_HOST, wanted))
            return wanted
    return free_ports(1)[0]


def kafka_environment(settings: KafkaSettings) -> dict[str, str]:
    """The settings as the environment of a process says them; what is not set is inherited."""
    servers = settings.client_options()["bootstrap_servers"]
    return {"KAFKA_BOOTSTRAP_SERVERS": ",".join(servers), "KAFKA_TOPIC_PREFIX": settings.topic_prefix}


def free_ports(number: int) -> list[int]:
    """Ports of the loopback interface that nobody listens on just now, all different."""
    listeners = [socket.socket() for _ in range(number)]
    try:
        for listener in listeners:
            listener.bind((METRICS_HOST, 0))
        return [int(listener.getsockname()[1]) for listener in listeners]
    finally:
        for listener in listeners:
            listener.close()
