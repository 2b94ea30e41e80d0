"""The topics: name, key, cleanup policy and limits. Names are contracts; a shop's prefix goes before them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DAY_MS = 86_400_000

DEFAULT_MAX_MESSAGE_BYTES = 1_000_000
"""Largest message that a topic takes unless it says otherwise, bytes (Kafka's own default is 1 MiB)."""

TABLE_SEGMENT_BYTES = 64 * 1024 * 1024
"""Size at which a compacted topic begins a new segment; only closed ones are compacted, so restores stay short."""

MAX_COMPACTION_LAG_MS = DAY_MS
"""How long a replaced value, or one of a user to be forgotten, stays readable at most."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic as the platform has to create it."""

    name: str
    key: str
    cleanup: Literal["compact", "delete", "compact,delete"]
    retention_ms: int | None = None
    max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES
    broker_time: bool = False
    """True where the broker stamps messages itself, so that no producer can move the clock."""

    @property
    def compacted(self) -> bool:
        """True where a later value of a key replaces the earlier one, and a null value takes it back."""
        return self.cleanup != "delete"

    def configs(self) -> dict[str, str]:
        """Topic-level settings in Kafka's own words."""
        configs = {
            "cleanup.policy": self.cleanup,
            "max.message.bytes": str(self.max_message_bytes),
            "message.timestamp.type": "LogAppendTime" if self.broker_time else "CreateTime",
        }
        if self.compacted:
            configs["segment.bytes"] = str(TABLE_SEGMENT_BYTES)
            configs["max.compaction.lag.ms"] = str(MAX_COMPACTION_LAG_MS)
        if self.retention_ms is not None:
            configs["retention.ms"] = str(self.retention_ms)
        return configs


PRODUCT_CREATED = Topic("product-created", "product_id", "compact", broker_time=True)
PDP_VIEW = Topic("pdp-view", "user_id", "delete", retention_ms=7 * DAY_MS, broker_time=True)
CART_ADD = Topic("cart-add", "user_id", "delete", retention_ms=7 * DAY_MS, broker_time=True)
PURCHASE = Topic("purchase", "user_id", "delete", retention_ms=30 * DAY_MS, broker_time=True)
IMPRESSION = Topic("impression", "user_id", "delete", retention_ms=30 * DAY_MS, broker_time=True)
"""Kept for as long as experiments usually take: their reports count shoppers by what came into sight."""
CLICK = Topic("click", "user_id", "delete", retention_ms=7 * DAY_MS, broker_time=True)
USER_UPDATED = Topic("user-updated", "user_id", "compact", broker_time=True)
SESSION_JOINED = Topic("session-joined", "user_id", "delete", retention_ms=7 * DAY_MS, broker_time=True)
"""Its key is the guest's session_id, in the partition that the guest's events are in."""
SESSION_HISTORY = Topic("session-history", "user_id", "delete", retention_ms=7 * DAY_MS, broker_time=True)
IMAGE_FEATURES = Topic("image-features", "product_id", "compact")
INTERACTION_STATE = Topic("interaction-state", "user_id", "compact")
BLEND_STATE = Topic("blend-state", "user_id", "compact")
"""A record lies in the partition whose shoppers it is about, so it has as many as topics keyed by user_id."""
ITEM_STATE = Topic("item-state", "product_id", "compact")
TRENDING_STATE = Topic("trending-state", "product_id", "compact")
SIMILAR_STATE = Topic("similar-state", "encoder_id", "compact")
CO_VISITS = Topic("co-visits", "product_id", "delete", retention_ms=7 * DAY_MS)
SEGMENT_VISITS = Topic("segment-visits", "segment", "delete", retention_ms=7 * DAY_MS)
ITEM_FACTORS = Topic("item-factors", "product_id", "compact")
REFIT_FACTORS = Topic("refit-factors", "part", "compact")
PROFILE_FACTORS = Topic("profile-factors", "profile", "compact")
RECOMMENDATION_UPDATED = Topic("recommendation-updated", "kind:subject", "compact")
OUTCOME_STATE = Topic("outcome-state", "user_id", "compact")
RECOMMENDATION_OUTCOMES = Topic("recommendation-outcomes", "event_id", "compact,delete", retention_ms=400 * DAY_MS)
DEAD_LETTER = Topic("dead-letter", "original key", "delete", retention_ms=30 * DAY_MS, max_message_bytes=2_000_000)

TOPICS: dict[str, Topic] = {
    topic.name: topic
    for topic in (
        PRODUCT_CREATED,
        PDP_VIEW,
        CART_ADD,
        PURCHASE,
        IMPRESSION,
        CLICK,
        USER_UPDATED,
        SESSION_JOINED,
        SESSION_HISTORY,
        IMAGE_FEATURES,
        INTERACTION_STATE,
        BLEND_STATE,
        ITEM_STATE,
        TRENDING_STATE,
        SIMILAR_STATE,
        CO_VISITS,
        SEGMENT_VISITS,
        ITEM_FACTORS,
        PROFILE_FACTORS,
        REFIT_FACTORS,
        RECOMMENDATION_UPDATED,
        OUTCOME_STATE,
        RECOMMENDATION_OUTCOMES,
        DEAD_LETTER,
    )
}
"""Every topic by its name, without a prefix."""
