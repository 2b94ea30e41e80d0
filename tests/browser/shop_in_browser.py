"""What the browser tests share: the shop as it is served, where pictures of it are kept, and waiting."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from producers.client import ShopEvents
from schemas.events import ProductCreated
from schemas.kafka_settings import KafkaSettings

ARTEFACTS = Path(__file__).parents[2] / "test-artifacts" / "shop"
"""Screenshots are kept here."""

DESKTOP = {"viewport": {"width": 1280, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True, "device_scale_factor": 2}

SETTLE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class LiveShop:
    """Where the shop is, what it sells, and a client to publish with."""

    url: str
    products: list[ProductCreated]
    images_dir: Path
    events: ShopEvents
    kafka: KafkaSettings

    def lists(self, **query: Any) -> list[dict[str, Any]]:
        """What the API answers, the shop's own lists alone."""
        answer = httpx.get(f"{self.url}/lists", params={"fill": "false", **query}, timeout=10.0)
        answer.raise_for_status()
        found: list[dict[str, Any]] = answer.json()["lists"]
        return found


def until(condition: Callable[[], object], what: str, seconds: float = SETTLE_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.1)
