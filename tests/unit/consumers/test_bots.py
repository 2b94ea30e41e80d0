"""A shopper whose rate no human has counts for nobody else, in any stage, and has a list of their own."""

from __future__ import annotations

from typing import cast

from consumers.configuration import Configuration
from consumers.flow import BehaviourFlow
from consumers.interactions.settings import InteractionSettings, QuarantineSettings
from schemas.codec import decode
from schemas.events import PdpView, ProductCreated, UserHistory

QUARANTINE = QuarantineSettings(events=5, window_seconds=1, release_hours=1)
HOUR_MS = 3_600_000


def shop() -> BehaviourFlow:
    flow = BehaviourFlow(Configuration(interactions=InteractionSettings(quarantine=QUARANTINE)))
    flow.publish([ProductCreated(product_id, 0) for product_id in "abcdefg"])
    view(flow, "human", "abc", 1_000, 10_000)
    return flow


def view(flow: BehaviourFlow, user: str, product_ids: str, begin_ms: int, step_ms: int) -> None:
    times = range(begin_ms, begin_ms + step_ms * len(product_ids), step_ms)
    pairs = zip(product_ids, times, strict=True)
    flow.publish([PdpView(f"{user}{at_ms}", at_ms, user, None, product_id) for product_id, at_ms in pairs])
    flow.run_until_quiet()


def shared(flow: BehaviourFlow) -> set[str]:
    """Products that anybody is counted to have visited."""
    return {key.decode() for name in ("item-state", "trending-state") for key in flow.log.table(name)}


def state(flow: BehaviourFlow, user: str) -> UserHistory:
    return cast("UserHistory", decode("interaction-state", flow.log.table("interaction-state")[user.encode()]))


def test_a_bot_counts_for_nobody_else_and_is_recommended_to() -> None:
    flow = shop()
    view(flow, "bot", "defgdefg", 100_000, 100)
    assert state(flow, "bot").is_quarantined
    assert len(state(flow, "bot").event_times_ms) == 8
    assert b"for-you:bot" in flow.log.table("recommendation-updated")
    assert shared(flow) == set("abc")
    assert {item.product_id for item in flow.recommend("human", 7)} <= set("abc")


def test_one_that_is_found_out_late_is_taken_back_and_counts_again_after_a_while() -> None:
    flow = shop()
    view(flow, "bot", "defg", 100_000, 100)
    assert shared(flow) == set("abcdefg")
    view(flow, "bot", "d", 100_400, 100)
    assert shared(flow) == set("abc")
    view(flow, "bot", "e", 100_400 + 2 * HOUR_MS, 100)
    assert not state(flow, "bot").is_quarantined
    assert shared(flow) == set("abcdefg")
