"""The account of one round: everything that was published is embedded, processed or a dead letter, or is lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cli.live_model import percentile
from consumers.runtime.outbox import DEAD_LETTER


@dataclass(frozen=True, slots=True)
class Account:
    """What the topics, the groups' committed offsets and the stages' own counters say.

    Two witnesses are heard where there are two, and the one that says less is believed: events on the topics
    and events that Kafka acknowledged to the shop; events up to the committed offsets and events that the
    stage counted as it committed them (None where it was started again, for its counters began anew).
    """

    products_published: int
    products_taken: int
    """Products before the offsets that the image-features stage committed."""
    products_without_picture: int
    products_embedded: int
    products_refused: int
    events_published: int
    events_acknowledged: int
    events_taken: int
    """Events before the offsets that the interactions stage committed."""
    events_refused: int
    """Events on the dead-letter topic."""
    outcomes: Mapping[str, int] | None = None
    """Events that the stage counted, by outcome."""
    unfinished: Mapping[str, int] = field(default_factory=dict)
    """Records that the stages behind those two had not taken in time, by stage."""
    other_dead_letters: int = 0
    """Dead letters of messages between the stages."""

    @property
    def events_processed(self) -> int:
        """Events that were processed, duplicates and expired ones included."""
        taken = self.events_taken - self.events_refused
        if self.outcomes is None:
            return taken
        return min(taken, sum(n for outcome, n in self.outcomes.items() if outcome != DEAD_LETTER))

    @property
    def lost(self) -> int:
        """How much of what was published is nowhere; 0 when every event and product is accounted for."""
        settled = self.products_embedded + self.products_refused + self.products_without_picture
        products = self.products_published - min(self.products_taken, settled)
        published = max(self.events_published, self.events_acknowledged)
        events = published - (self.events_processed + self.events_refused)
        return max(products, 0) + max(events, 0) + sum(self.unfinished.values()) + self.other_dead_letters


def report(
    account: Account, lists_by_kind: Mapping[str, int], freshness_ms: Sequence[float], **more: Any
) -> dict[str, Any]:
    """The account as ``recsys demo --once`` prints it; freshness is null where no shopper's list changed."""
    return {
        "products_published": account.products_published,
        "products_embedded": account.products_embedded,
        "products_without_picture": account.products_without_picture,
        "products_refused": account.products_refused,
        "events_published": account.events_published,
        "events_processed": account.events_processed,
        "dead_letters": account.events_refused,
        "outcomes": None if account.outcomes is None else dict(account.outcomes),
        "lists_by_kind": {kind: count for kind, count in lists_by_kind.items() if count},
        "freshness_ms": {"p50": percentile(freshness_ms, 0.5), "p99": percentile(freshness_ms, 0.99)},
        "unfinished": dict(account.unfinished),
        "lost": account.lost,
        **more,
    }
