"""What happens during a demo: the catalogue is published, shoppers play, and a subscriber sees lists change."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cli.accounting import Account
from cli.demo_shop import Shop, ShopPlan
from cli.demo_subscriber import Subscriber
from cli.ledger import Ledger
from cli.live_model import LiveModel, Snapshot, StageRow
from cli.stage_metrics import StageMonitor, fetch_figures
from consumers.runtime.records import Record
from deploy.supervisor import Supervisor
from schemas.errors import RecsysError
from schemas.events import Kind, ProductCreated
from schemas.topics import (
    CART_ADD,
    DEAD_LETTER,
    IMAGE_FEATURES,
    PDP_VIEW,
    PRODUCT_CREATED,
    PURCHASE,
    RECOMMENDATION_UPDATED,
)
from storefront.dead_letters import read_dead_letter
from storefront.lists import ListTable
from storefront.wording import product_name

EVENT_TOPICS = (PDP_VIEW, CART_ADD, PURCHASE)
SOURCE_TOPICS = (PRODUCT_CREATED, *EVENT_TOPICS)
FOLLOWED_TOPICS = (RECOMMENDATION_UPDATED, IMAGE_FEATURES, DEAD_LETTER)
EVENT_STAGE = "interactions"
PICTURE_STAGE = "image-features"

_EVENT_TOPIC_NAMES = frozenset(topic.name for topic in EVENT_TOPICS)
_WAIT_SECONDS = 0.05
_BETWEEN_LOOKS_SECONDS = 0.05
_COUNTERS_SECONDS = 3.0
_READ_ON_SECONDS = 60.0


class DemoTimeoutError(RecsysError):
    """A step of the demo took longer than it may; the message says which, and what to look at."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a round runs on; whoever opened them closes them."""

    shop: Shop
    ledger: Ledger
    subscriber: Subscriber
    """Reads ``FOLLOWED_TOPICS`` from the beginning."""
    supervisor: Supervisor
    monitor: StageMonitor
    metrics_urls: Mapping[str, str]


class Round:
    """Drives one demo and remembers what the subscriber saw; for one thread."""

    def __init__(self, parts: Parts, plan: ShopPlan) -> None:
        self._parts = parts
        self.planned_events = plan.events
        self.products: Mapping[str, ProductCreated] = {p.product_id: p for p in (*plan.products, *plan.launches)}
        self._without_picture = sum(not product.image_url for product in plan.products)
        self.model = LiveModel(_now_ms())
        self.lists = ListTable()
        self.freshness_ms: list[int] = []
        """Of each change of a shopper's own list since the shoppers came, in milliseconds."""
        self.list_changes: Counter[str] = Counter()
        self._embedded: set[str] = set()
        self._refused: dict[tuple[str, int, int], str] = {}
        self._shoppers_are_in = False
        self._counted_before: Counter[str] = Counter()

    @property
    def embedded(self) -> int:
        """How many of the products have an image feature."""
        return len(self._embedded)

    @property
    def on_sale(self) -> int:
        """How many products are published and not retired."""
        return self._parts.shop.products_on_sale

    @property
    def to_embed(self) -> int:
        """How many products are neither embedded nor refused so far, nor without a picture."""
        refused = sum(topic == PRODUCT_CREATED.name for topic, _, _ in self._refused)
        return max(self.on_sale - self.embedded - refused - self._without_picture, 0)

    def publish_catalogue(self) -> None:
        """Publish every product; the stages begin at once."""
        self._parts.shop.publish_catalogue()

    def start_shoppers(self) -> None:
        """From now on shoppers play, and the freshness of their lists is measured."""
        self._shoppers_are_in = True
        self._counted_before = self._outcomes() or Counter()
        self._parts.shop.start()

    def shoppers_are_done(self) -> bool:
        """True once the last planned event is acknowledged."""
        return self._parts.shop.done

    def name(self, product_id: str) -> str:
        """How to call a product."""
        return product_name(product_id, self.products.get(product_id))

    def step(self) -> None:
        """Take in what happened since the last step, waiting a moment for something; raises what went wrong."""
        seen = self._parts.subscriber.take(_WAIT_SECONDS)
        for event, at_ms in self._parts.shop.take():
            self.model.event(event, at_ms)
        for records, seen_at_ms in seen:
            self._see(records, seen_at_ms)
        self._parts.supervisor.check()
        self._parts.shop.check()

    def run_until(
        self, done: Callable[[], bool], what: str, timeout_seconds: float, on_step: Callable[[], None]
    ) -> None:
        """Step until ``done``; raises ``DemoTimeoutError`` in time."""
        deadline = time.monotonic() + timeout_seconds
        while not done():
            self.step()
            on_step()
            if time.monotonic() > deadline:
                raise DemoTimeoutError(
                    f"{what} took longer than {timeout_seconds:.0f} s; what the stages say is in their logs"
                )

    def settle(self, stages: Sequence[str], timeout_seconds: float, on_step: Callable[[], None]) -> dict[str, int]:
        """Wait until these stages have taken everything and the subscriber has seen it; returns what is left."""

        def step() -> None:
            self.step()
            on_step()

        unfinished = self._parts.ledger.wait_until_quiet(stages, timeout_seconds, step)
        self._read_to_the_end()
        return unfinished

    def account(self, unfinished: dict[str, int]) -> Account:
        """Add up the round, from the topics, the committed offsets and the stages' own counters."""
        ledger = self._parts.ledger
        published = ledger.published(*EVENT_TOPICS)
        taken = published - ledger.backlog(EVENT_STAGE, *EVENT_TOPICS)
        refused = Counter(topic for topic, _, _ in self._refused)
        events_refused = sum(refused[topic] for topic in _EVENT_TOPIC_NAMES)
        outcomes = self._witness(taken)
        products = ledger.published(PRODUCT_CREATED)
        return Account(
            products_published=products,
            products_taken=products - ledger.backlog(PICTURE_STAGE),
            products_without_picture=self._without_picture,
            products_embedded=self.embedded,
            products_refused=refused[PRODUCT_CREATED.name],
            events_published=published,
            events_acknowledged=self._parts.shop.events_acknowledged,
            events_taken=taken,
            events_refused=events_refused,
            outcomes=outcomes,
            # What the stages at the front have not taken is in the account already.
            unfinished={stage: n for stage, n in unfinished.items() if stage not in (EVENT_STAGE, PICTURE_STAGE)},
            other_dead_letters=sum(refused.values()) - events_refused - refused[PRODUCT_CREATED.name],
        )

    def without_similar(self) -> int:
        """How many products with an image feature have no similar list; one alone cannot have any."""
        return sum(self.lists.get(Kind.SIMILAR, product_id) is None for product_id in self._embedded)

    def snapshot(self) -> Snapshot:
        """What to show now."""
        figures, supervisor = self._parts.monitor.figures, self._parts.supervisor
        rows = []
        for name, state in supervisor.states.items():
            known = figures.get(name)
            rate, lag = (known.events_per_second, known.lag) if known is not None else (0.0, None)
            rows.append(StageRow(name, state, rate, lag, supervisor.restarts[name]))
        return self.model.snapshot(_now_ms(), rows, self.lists.counts, self.on_sale)

    def _see(self, records: Sequence[Record], seen_at_ms: int) -> None:
        for record in records:
            if record.topic == IMAGE_FEATURES.name:
                self._see_feature(record)
            elif record.topic == DEAD_LETTER.name:
                self._see_dead_letter(record)
        for change in self.lists.apply(records):
            self.model.change(change, seen_at_ms)
            if change.after is not None:
                self.list_changes[change.kind] += 1
                if change.kind == Kind.FOR_YOU and self._shoppers_are_in:
                    self.freshness_ms.append(max(seen_at_ms - change.after.caused_at_ms, 0))

    def _see_feature(self, record: Record) -> None:
        product_id = (record.key or b"").decode(errors="replace")
        if record.value is None:
            self._embedded.discard(product_id)
        elif product_id in self.products:
            self._embedded.add(product_id)

    def _see_dead_letter(self, record: Record) -> None:
        letter = read_dead_letter(record)
        if letter is None:
            return
        place = (letter.topic, letter.partition, letter.offset)
        if place not in self._refused and self._parts.ledger.is_new(*place):
            self._refused[place] = letter.stage
            self.model.dead_letter(letter)

    def _read_to_the_end(self) -> None:
        """See everything that is committed by now."""
        self._parts.subscriber.aim_for(self._parts.ledger.ends(FOLLOWED_TOPICS))
        deadline = time.monotonic() + _READ_ON_SECONDS
        while not self._parts.subscriber.has_arrived:
            self.step()
            if time.monotonic() > deadline:
                raise DemoTimeoutError(f"the lists could not be read to their end within {_READ_ON_SECONDS:.0f} s")

    def _outcomes(self) -> Counter[str] | None:
        """Events that the first stage counted since the shoppers came, by outcome; None where it cannot tell."""
        if self._parts.supervisor.restarts[EVENT_STAGE]:
            return None
        figures = fetch_figures(self._parts.metrics_urls[EVENT_STAGE])
        if figures is None:
            return None
        outcomes: Counter[str] = Counter()
        for (topic, outcome), amount in figures.events.items():
            if topic in _EVENT_TOPIC_NAMES:
                outcomes[outcome] += amount
        outcomes.subtract(self._counted_before)
        return +outcomes

    def _witness(self, expected: int) -> Counter[str] | None:
        """The stage's own count; it counts a moment after it commits, so it gets that moment."""
        deadline = time.monotonic() + _COUNTERS_SECONDS
        while True:
            outcomes = self._outcomes()
            if outcomes is None or outcomes.total() >= expected or time.monotonic() > deadline:
                return outcomes
            time.sleep(_BETWEEN_LOOKS_SECONDS)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
