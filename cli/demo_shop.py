"""The shop of the demo: publishes its catalogue, then plays its shoppers, on a thread of its own."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from producers.clickstream import ShopperEvent
from producers.client import ShopEvents
from producers.pacing import Pacer
from producers.simulate import Behaviour, Shoppers
from schemas.events import ProductCreated
from schemas.kafka_settings import KafkaSettings

LAUNCH_SECONDS = 10.0
RETIRE_SECONDS = 45.0
_WITHOUT_END = 2**62
_SHOPPERS = 300


@dataclass(frozen=True, slots=True)
class ShopPlan:
    """What the shop publishes: its products, and so many events of shoppers a second (None: without end).

    While shoppers play, one of ``launches`` is published every ``LAUNCH_SECONDS``, and every ``RETIRE_SECONDS``
    a product is retired.
    """

    products: Sequence[ProductCreated]
    events: int | None
    rate_per_second: float
    seed: int = 0
    launches: Sequence[ProductCreated] = ()


class Shop:
    """Publishes through the client that every shop uses; ``published`` counts what Kafka acknowledged."""

    def __init__(self, settings: KafkaSettings, plan: ShopPlan) -> None:
        self._client = ShopEvents(settings)
        self._plan = plan
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._play, name="shoppers", daemon=True)
        self._error: Exception | None = None
        self._sent: queue.SimpleQueue[tuple[ShopperEvent, int]] = queue.SimpleQueue()
        self._launches = deque(plan.launches)
        self._launch_at = time.monotonic() + LAUNCH_SECONDS
        self._retire_at = time.monotonic() + RETIRE_SECONDS
        self.events_acknowledged = 0
        self.products_on_sale = 0

    def publish_catalogue(self) -> None:
        """Publish every product, and wait for Kafka's acknowledgement."""
        for product in self._plan.products:
            self._client.publish(product)
        self._client.flush()
        self.products_on_sale = len(self._plan.products)

    def start(self) -> None:
        """Let the shoppers in."""
        self._thread.start()

    @property
    def done(self) -> bool:
        """True once every event is published and acknowledged; raises what went wrong on the way."""
        if self._thread.is_alive() or self._thread.ident is None:
            return False
        if self._error is not None:
            raise self._error
        return True

    def check(self) -> None:
        """Raise what went wrong, if anything did."""
        if self._error is not None:
            raise self._error

    def take(self) -> list[tuple[ShopperEvent, int]]:
        """Events published since the last call, and when, in milliseconds since the Unix epoch."""
        taken: list[tuple[ShopperEvent, int]] = []
        while not self._sent.empty():
            taken.append(self._sent.get())
        return taken

    def close(self) -> None:
        """Send the shoppers home, and wait for the last acknowledgements."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._client.close()

    def _play(self) -> None:
        try:
            self._shop()
        except Exception as error:  # shown by whoever watches the shop
            self._error = error

    def _shop(self) -> None:
        plan = self._plan
        behaviour = Behaviour(events_per_second=plan.rate_per_second)
        shoppers = Shoppers(plan.products, n_shoppers=_SHOPPERS, seed=plan.seed, behaviour=behaviour)
        pacer = Pacer(speed=1.0, sleep=self._nap)
        sent = 0
        number = plan.events if plan.events is not None else _WITHOUT_END
        for event in shoppers.events(number, _now_ms()):
            pacer.wait(event.event_time_ms)
            if self._stop.is_set():
                break
            self._client.publish(event)
            sent += 1
            self._sent.put((event, _now_ms()))
            if plan.launches:
                self._change_assortment(shoppers)
        self._client.flush()
        self.events_acknowledged = sent

    def _change_assortment(self, shoppers: Shoppers) -> None:
        """Launch and retire what is due; shoppers come across it, or no more, from now on."""
        now = time.monotonic()
        if self._launches and now >= self._launch_at:
            self._launch_at = now + LAUNCH_SECONDS
            product = replace(self._launches.popleft(), event_time_ms=_now_ms())
            self._client.publish(product)
            shoppers.launch(product)
            self.products_on_sale += 1
        if now >= self._retire_at:
            self._retire_at = now + RETIRE_SECONDS
            retired = shoppers.retire_one()
            if retired is not None:
                self._client.publish(retired)
                self.products_on_sale -= 1

    def _nap(self, seconds: float) -> None:
        self._stop.wait(seconds)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
