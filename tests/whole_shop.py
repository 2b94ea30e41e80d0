"""Every stage that takes what shoppers do, on one log, and what there is to compare of them.

Times are whole days, and half-lives and gaps days or parts of one that are powers of two, so that decayed sums are
exact, and lists have to be equal to the last place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

from hypothesis import settings
from hypothesis import strategies as st

from consumers.configuration import Configuration
from consumers.flow import FedEvent, Flow
from consumers.interactions.settings import BlendSettings, InteractionSettings
from consumers.interactions.stage import InteractionsStage
from consumers.item_factors.settings import ItemFactorSettings
from consumers.item_factors.stage import ItemFactorsStage
from consumers.item_neighbours.settings import ItemNeighbourSettings
from consumers.outcomes.stage import OutcomesStage
from consumers.stages import make_stage
from consumers.trending.settings import TrendingSettings
from recsys.decay import Decay
from schemas.codec import decode
from schemas.events import (
    CartAdd,
    Click,
    Impression,
    ItemState,
    PdpView,
    ProductCreated,
    Purchase,
    RecommendationUpdated,
    SessionJoined,
    TrendingState,
    UserHistory,
)

_usual = settings.default
assert _usual is not None
few = settings(max_examples=_usual.max_examples // 5)
"""For properties of which an example takes long."""

DAY_MS = 86_400_000
EPOCH_MS = 32 * DAY_MS
PRODUCTS = "abcd"
CONFIGURATION = Configuration(
    interactions=InteractionSettings(
        view_window_minutes=1_440,
        view_gap_seconds=86_400,
        purchase_window_days=1,
        purchase_gap_days=1,
        max_companions=2,
        max_events=100,
        blend=BlendSettings(factors=0),
    ),
    item_neighbours=ItemNeighbourSettings(half_life_days=1, damping=1),
    item_factors=ItemFactorSettings(factors=4),
    trending=TrendingSettings(popular_half_life_days=1, trending_half_life_hours=12, trending_floor=1),
)
"""Vectors are learnt step by step, so how far they are depends on the batches; what they learn from does not."""


class Step(NamedTuple):
    """What somebody does; ``settled`` where every stage takes it before the next comes."""

    user: str
    product_id: str
    day: int
    action: str
    settled: bool


GUEST = "s"
"""A session without a user."""


def steps_of(users: str) -> st.SearchStrategy[list[Step]]:
    """What these users do."""
    step = st.builds(
        Step,
        st.sampled_from(users),
        st.sampled_from(PRODUCTS + "x"),
        st.integers(0, 3),
        st.sampled_from(["view", "view", "view", "cart", "buy", "buy", "return", "see", "click"]),
        st.booleans(),
    )
    return st.lists(step, min_size=8, max_size=16)


class Shop:
    """Every stage that takes what shoppers do, on one log."""

    def __init__(self) -> None:
        self._played = 0
        self.interactions = InteractionsStage(CONFIGURATION.interactions)
        self.factors = ItemFactorsStage(CONFIGURATION.item_factors)
        self.outcomes = OutcomesStage()
        others = [make_stage(name, CONFIGURATION) for name in ("item-neighbours", "trending")]
        self.flow = Flow([self.interactions, self.factors, self.outcomes, *others], partitions=2)
        self.flow.publish([ProductCreated(product_id, EPOCH_MS, category="all") for product_id in PRODUCTS])
        self.flow.run_until_quiet()

    def play(self, script: Sequence[Step], but: str = "") -> None:
        for step in script:
            self._played += 1
            if step.user != but:
                self.flow.publish([event_of(self._played, step)])
            self.flow.log.now_ms = max(self.flow.log.now_ms, EPOCH_MS + step.day * DAY_MS)
            if step.settled:
                self.flow.run_until_quiet()
        self.flow.run_until_quiet()

    def forget(self, user: str) -> None:
        self.flow.log.append("user-updated", user.encode(), None)
        self.flow.run_until_quiet()

    def sign_in(self, user: str) -> None:
        self.flow.publish([SessionJoined(GUEST, user, EPOCH_MS)])
        self.flow.run_until_quiet()

    def table(self, topic: str) -> dict[str, object]:
        return {key.decode(): decode(topic, value) for key, value in self.flow.log.table(topic).items()}

    def lists(self) -> dict[str, list[str]]:
        updates = cast("dict[str, RecommendationUpdated]", self.table("recommendation-updated"))
        return {key: [item.product_id for item in update.items] for key, update in updates.items()}

    def histories(self) -> dict[str, tuple[object, ...]]:
        states = cast("dict[str, UserHistory]", self.table("interaction-state"))
        return {
            key: (tuple(one.event_times_ms), tuple(one.product_ids), tuple(one.actions))
            for key, one in states.items()
        }

    def rows(self) -> dict[tuple[str, str], list[float]]:
        """Sums as of one time."""
        sums: dict[tuple[str, str], list[float]] = {}
        for key, state in cast("dict[str, ItemState]", self.table("item-state")).items():
            bought = state.bought_together or [0.0] * len(state.companion_ids)
            columns = zip(state.viewed_after, state.viewed_before, bought, strict=True)
            sums[key, ""] = as_of_now(state.epoch, state.visits, state.purchases)
            for companion, strengths in zip(state.companion_ids, columns, strict=True):
                sums[key, companion] = as_of_now(state.epoch, *strengths)
        return sums

    def popularity(self) -> dict[str, list[float]]:
        states = cast("dict[str, TrendingState]", self.table("trending-state"))
        return {
            key: [
                *as_of_now(state.popular_epoch, state.popular),
                Decay(DAY_MS // 2).value_at(state.trending, state.trending_epoch, EPOCH_MS),
            ]
            for key, state in states.items()
        }

    def sessions(self) -> list[list[int]]:
        """When each shopper visited their products last, as neighbours are found by, and factors learnt from."""
        indices = (self.interactions.for_you.sessions._index, self.factors._learner.index)
        return [sorted(index.session(user).values()) for index in indices for user in "uvws"]


def as_of_now(epoch: int, *sums: float) -> list[float]:
    return [Decay(DAY_MS).value_at(value, epoch, EPOCH_MS) for value in sums]


def event_of(number: int, step: Step) -> FedEvent | Impression | Click:
    subject = (None, GUEST) if step.user == GUEST else (step.user, None)
    who = (f"e{number}", EPOCH_MS + step.day * DAY_MS, *subject, step.product_id)
    shown = ("similar.1.a", "pdp", "similar", 1, "")
    if step.action in ("see", "click"):
        return (Impression if step.action == "see" else Click)(*who, *shown)
    if step.action == "view":
        return PdpView(*who)
    if step.action == "cart":
        return CartAdd(*who, 2.0)
    return Purchase(*who, -2.0 if step.action == "return" else 4.0)


def last_visits() -> list[Step]:
    """The others come once more, to every product, so that all lists follow from what is known by then."""
    return [Step(user, product_id, 4, "view", True) for user in "vw" for product_id in PRODUCTS + "x"]
