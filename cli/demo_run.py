"""One demo from start to end: everything that is opened here is closed here, however it ends."""

from __future__ import annotations

import json
import logging
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.markup import escape

from cli.demo_browser import open_in_browser
from cli.demo_kafka import demo_kafka
from cli.demo_play import play_live, play_once
from cli.demo_round import FOLLOWED_TOPICS, SOURCE_TOPICS, Parts, Round
from cli.demo_shop import Shop, ShopPlan
from cli.demo_stack import (
    SHOP_PORT,
    CatalogueWish,
    DemoCatalogue,
    kafka_environment,
    port_like,
    prepare_catalogue,
    shop_process,
    stage_processes,
    workspace,
)
from cli.demo_subscriber import Subscriber
from cli.ledger import Ledger
from cli.stage_metrics import StageMonitor
from consumers.configuration import load
from consumers.stages import STAGES
from deploy.supervisor import Supervisor
from schemas.events import ProductCreated
from schemas.kafka_settings import EMBEDDED_BOOTSTRAP_SERVERS, KafkaSettings
from storefront.following import TopicFollower

INTERRUPTED = 130
"""Exit status of a round that Ctrl-C cut short, as shells have it."""

SHOPPERS = ("shopper-1", "shopper-2", "shopper-3", "shopper-4")
"""Simulated shoppers that the pages offer to look over the shoulder of."""

_READY_SECONDS = 120.0
_SHOWN_REJECTED = 5
_MAX_LAUNCHES = 60


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the command line asked for."""

    catalogue: CatalogueWish
    once: bool
    quiet: bool
    rate_per_second: float
    events: int | None
    keep: bool
    open_browser: bool


def run_demo(options: DemoOptions) -> int:
    """Play a demo; returns the exit status."""
    console = Console(stderr=True, quiet=options.quiet, highlight=False)
    try:
        with _ended_by_signals(console), ExitStack() as stack:
            return _Demo(options, console).run(stack)
    except KeyboardInterrupt:
        console.print("Stopped.")
        return INTERRUPTED if options.once else 0


class _Demo:
    """Opens the parts in order; the exit stack closes them in the opposite one."""

    def __init__(self, options: DemoOptions, console: Console) -> None:
        self._options = options
        self._console = console
        self._shop_url = ""

    def run(self, stack: ExitStack) -> int:
        options, console = self._options, self._console
        folder = stack.enter_context(workspace(keep=options.keep))
        _log_to(folder / "logs" / "demo.log")
        with console.status("starting Kafka …") as status:
            rendering = prepare_catalogue(options.catalogue, folder)

            def fetched(done: int, of: int) -> None:
                status.update(f"fetching Apache Kafka, once: {done} of {of} files …")

            kafka = demo_kafka(load().kafka, folder, keep=options.keep, on_fetched=fetched)
            settings = stack.enter_context(kafka)
            self._done(f"Kafka at {kafka_environment(settings)['KAFKA_BOOTSTRAP_SERVERS']}")
            status.update("making a catalogue …")
            catalogue = rendering.result()
            self._done(catalogue.headline)
            self._say_rejected(catalogue.rejected)
            status.update(f"starting {len(STAGES)} stages …")
            round_ = self._open_round(stack, settings, catalogue, folder)
            self._done(f"{len(STAGES)} stages ready")
            if self._shop_url:
                self._done(f"the shop is open at {self._shop_url}")
            status.update("publishing the catalogue …")
            round_.publish_catalogue()
        if not options.once:
            if options.open_browser and console.is_terminal:
                open_in_browser(self._shop_url)
            headline = f"{catalogue.headline} · {self._shop_url}"
            play_live(round_, console, headline, _hint(settings, catalogue))
            return 0
        played = play_once(round_, list(STAGES), options.rate_per_second, console)
        sys.stdout.write(json.dumps(played.printed, indent=2) + "\n")
        sys.stdout.flush()
        return 1 if played.lost else 0

    def _open_round(
        self, stack: ExitStack, settings: KafkaSettings, catalogue: DemoCatalogue, folder: Path
    ) -> Round:
        processes = stage_processes(list(STAGES), settings, catalogue.images_dir)
        specs = list(processes.specs)
        if not self._options.once:
            shop = shop_process(settings, catalogue.images_dir, SHOPPERS, port_like(SHOP_PORT))
            self._shop_url = shop.url
            specs.append(shop.spec)
        supervisor = stack.enter_context(Supervisor(specs, folder / "logs"))
        supervisor.start()
        supervisor.wait_ready(_READY_SECONDS)
        stage_specs = [stage.spec for stage in STAGES.values()]
        topics = [*SOURCE_TOPICS, *FOLLOWED_TOPICS]
        options = self._options
        plan = _plan(catalogue.products, options)
        monitor = StageMonitor(processes.metrics_urls)
        stack.callback(monitor.stop)
        parts = Parts(
            ledger=stack.enter_context(closing(Ledger(settings, stage_specs, topics, settings.named))),
            subscriber=stack.enter_context(closing(Subscriber(TopicFollower(settings, FOLLOWED_TOPICS)))),
            shop=stack.enter_context(closing(Shop(settings, plan))),
            supervisor=supervisor,
            monitor=monitor,
            metrics_urls=processes.metrics_urls,
        )
        monitor.start()
        parts.subscriber.start()
        return Round(parts, plan)

    def _done(self, what: str) -> None:
        self._console.print(f"[green]✓[/green] {escape(what)}")

    def _say_rejected(self, rejected: Sequence[str]) -> None:
        for reason in rejected[:_SHOWN_REJECTED]:
            self._console.print(f"[yellow]left out:[/yellow] {escape(reason)}")
        if len(rejected) > _SHOWN_REJECTED:
            self._console.print(f"[yellow]and {len(rejected) - _SHOWN_REJECTED:,} more rows[/yellow]")


def _log_to(path: Path) -> None:
    """What libraries log goes to a file: on the screen it would stand in the middle of the view."""
    path.parent.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        filename=path, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )


@contextmanager
def _ended_by_signals(console: Console) -> Iterator[None]:
    """Ctrl-C, SIGTERM and a closed terminal end the demo once; while it stops, further ones change nothing."""
    stopping = False

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal stopping
        if not stopping:
            stopping = True
            raise KeyboardInterrupt

    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, end) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _plan(products: Sequence[ProductCreated], options: DemoOptions) -> ShopPlan:
    """Live, some products are held back, so that new ones can be seen to enter lists."""
    held_back = 0 if options.once else min(len(products) // 10, _MAX_LAUNCHES)
    # Spread over the catalogue, which is often sorted by category.
    step = len(products) // held_back if held_back else 0
    launched = set(range(step - 1, len(products), step)) if step else set()
    return ShopPlan(
        products=[product for number, product in enumerate(products) if number not in launched],
        events=options.events,
        rate_per_second=options.rate_per_second,
        seed=options.catalogue.seed,
        launches=[products[number] for number in sorted(launched)],
    )


def _hint(settings: KafkaSettings, catalogue: DemoCatalogue) -> str:
    """What else can be tried, from another terminal."""
    environment = {name: value for name, value in kafka_environment(settings).items() if value}
    if environment.get("KAFKA_BOOTSTRAP_SERVERS") == EMBEDDED_BOOTSTRAP_SERVERS:
        del environment["KAFKA_BOOTSTRAP_SERVERS"]
    exports = "".join(f"{name}={value} " for name, value in environment.items())
    product = catalogue.products[0].product_id
    return f" Ctrl-C stops everything · in another terminal: {exports}recsys show similar {product}"
