"""The settings of the interactions stage: frozen, validated, unknown names refused."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from recsys.co_visits import ActionWeights, PairRules
from recsys.decay import Decay
from recsys.for_you import ScoringRules
from recsys.histories import HistoryRules
from recsys.quarantine import QuarantineRules
from recsys.scoring.choice import ChoiceRules
from recsys.scoring.factor_scorer import FoldInRules
from recsys.scoring.neighbour_tables import RowScoring
from recsys.scoring.new_products import ExplorationRules
from recsys.scoring.query import QueryRules
from recsys.scoring.weights import LearningRules
from recsys.sessions.index import SessionRules
from recsys.sessions.vmis import VmisRules

_DAY_MS = 86_400_000


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ActionWeightSettings(_Frozen):
    """What an action says of a shopper's interest; a quantity adds to it with diminishing returns."""

    view: float = Field(default=1.0, ge=0)
    cart_add: float = Field(default=2.0, ge=0)
    purchase: float = Field(default=3.0, ge=0)

    def rules(self) -> ActionWeights:
        """The same for the core."""
        return ActionWeights(self.view, self.cart_add, self.purchase)


class BlendSettings(_Frozen):
    """What each way to recommend contributes to the for-you list; 0 leaves it out."""

    viewed_next: float = Field(default=1.0, ge=0, description="viewed with what the shopper viewed")
    bought_together: float = Field(default=0.4, ge=0, description="bought with what the shopper did anything with")
    similar: float = Field(default=0.25, ge=0, description="looks like what the shopper viewed")
    sessions: float = Field(default=1.0, ge=0, description="visited in the sessions most like the shopper's")
    factors: float = Field(default=0.6, ge=0, description="suits the shopper's taste, by matrix factorisation")
    trending: float = Field(default=0.02, ge=0, description="trending in the shop")
    popular: float = Field(default=0.02, ge=0, description="popular in the shop")
    segment: float = Field(default=0.06, ge=0, description="popular with the users of the shopper's segment")


class LearningSettings(_Frozen):
    """How the weights of the blend follow what shoppers do next; ``blend`` says where they begin."""

    frozen: bool = Field(
        default=False, description="keep weights as they are, and judge scorers for metrics alone"
    )
    rate: float = Field(default=0.01, ge=0, le=1, description="how far one event moves a weight; 0: as configured")
    half_life_days: float = Field(
        default=30.0, gt=0, description="age at which a lesson counts half; to change it, empty blend-state first"
    )
    floor: float = Field(
        default=0.25, gt=0, le=1, description="least weight of a scorer, as a share of what is configured"
    )
    ceiling: float = Field(default=4.0, ge=1, description="greatest weight of a scorer, likewise")
    few_events: int = Field(default=3, ge=1, description="events up to which little is known of a shopper")
    share: float = Field(
        default=0.015625,
        ge=0,
        le=1,
        description="share of the events that scorers are judged by, and weights learnt from",
    )

    def rules(self) -> LearningRules:
        """The same for the core."""
        decay = Decay(max(1, round(self.half_life_days * _DAY_MS)))
        return LearningRules(self.rate, decay, self.floor, self.ceiling, self.few_events)


class NeighbourSessionSettings(_Frozen):
    """Whose sessions count as like a shopper's."""

    retention_days: float = Field(default=365.0, gt=0, description="age at which sessions of others expire")
    max_sessions: int = Field(default=200_000, ge=8, description="sessions of others that are kept")
    max_session_items: int = Field(default=200, ge=1, description="products of a session, the latest")
    recent_sessions: int = Field(
        default=250, ge=1, description="sessions of a product that are looked at, the latest"
    )
    neighbours: int = Field(default=100, ge=1, description="sessions that speak, the most like the shopper's")
    max_items: int = Field(default=20, ge=1, le=200, description="the shopper's products of late that count")

    def session_rules(self) -> SessionRules:
        """What is kept, for the core."""
        return SessionRules(round(self.retention_days * _DAY_MS), self.max_sessions, self.max_session_items)

    def rules(self) -> VmisRules:
        """What is asked, for the core."""
        return VmisRules(self.recent_sessions, self.neighbours, self.max_items)


class FoldInSettings(_Frozen):
    """How a shopper's taste follows from products of late; ``alpha`` and ``regularisation`` are item-factors'."""

    alpha: float = Field(default=2.0, gt=0, description="how much more a visit says than none does")
    regularisation: float = Field(default=10.0, gt=0, description="pull towards no taste at all")
    rank_decay: float = Field(
        default=0.7, gt=0, le=1, description="what a product says, as a share of what the next one after it says"
    )
    most: int = Field(default=100, ge=1, description="products that are scored, the best")

    def rules(self) -> FoldInRules:
        """The same for the core."""
        return FoldInRules(self.alpha, self.regularisation, self.rank_decay, self.most)


class ExplorationSettings(_Frozen):
    """New products that are tried out in for-you lists until they are measured."""

    slots: int = Field(default=0, ge=0, le=20, description="places of a list that new products are given; 0: none")
    max_age_days: float = Field(default=14.0, gt=0, description="age at which a product is tried out no more")
    measured_visits: float = Field(default=30.0, gt=0, description="visits after which a product is measured")
    max_products: int = Field(default=500, ge=1, description="products that are tried out at once, the newest")

    def rules(self) -> ExplorationRules:
        """The same for the core."""
        max_age_ms = round(self.max_age_days * _DAY_MS)
        return ExplorationRules(self.slots, max_age_ms, self.measured_visits, self.max_products)


class ChoiceSettings(_Frozen):
    """What is asked of a for-you list besides the best products; 0 asks nothing."""

    max_per_category: int = Field(default=0, ge=0, description="products of one category at most")
    max_per_brand: int = Field(default=0, ge=0, description="products of one brand at most")
    brand_attribute: str = Field(
        default="brand", min_length=1, description="attribute of products that says the brand"
    )
    variety: float = Field(
        default=0.0, ge=0, lt=1, description="what looking like a product further up costs, beside the score"
    )
    freshness: float = Field(
        default=0.0, ge=0, le=10, description="by what share of its score a product published just now gains"
    )
    freshness_half_life_days: float = Field(default=14.0, gt=0, description="age at which it gains half of that")
    bought_category_days: float = Field(
        default=0.0, ge=0, description="time after a purchase in which nothing else of its category is listed"
    )
    exploration: ExplorationSettings = ExplorationSettings()

    def rules(self) -> ChoiceRules:
        """The same for the core."""
        return ChoiceRules(
            max_per_category=self.max_per_category,
            max_per_brand=self.max_per_brand,
            brand_attribute=self.brand_attribute,
            variety=self.variety,
            freshness=self.freshness,
            freshness_half_life_ms=max(1, round(self.freshness_half_life_days * _DAY_MS)),
            bought_category_ms=round(self.bought_category_days * _DAY_MS),
            exploration=self.exploration.rules(),
        )


class QuarantineSettings(_Frozen):
    """Whose rate no human has: they count for nobody else while they do, and their own lists go on."""

    events: int = Field(
        default=150, ge=0, description="events of a shopper within the window that no human makes; 0: never"
    )
    window_seconds: float = Field(default=60.0, gt=0, description="time in which they come")
    release_hours: float = Field(
        default=24.0, gt=0, description="time without such a burst after which a shopper counts again"
    )

    def rules(self) -> QuarantineRules:
        """The same for the core."""
        return QuarantineRules(
            self.events, round(self.window_seconds * 1_000), round(self.release_hours * 3_600_000)
        )


class InteractionSettings(_Frozen):
    """Histories, which visits make pairs, and the for-you list."""

    max_events: int = Field(default=200, ge=1, le=2_000, description="events kept a shopper")
    retention_days: float = Field(
        default=365.0, gt=0, description="age before a shopper's latest event; older expire"
    )
    action_weights: ActionWeightSettings = ActionWeightSettings()
    view_window_minutes: float = Field(default=30.0, gt=0, description="views this close are viewed together")
    view_gap_seconds: float = Field(
        default=60.0, gt=0, description="time apart that halves the strength of a pair"
    )
    purchase_window_days: float = Field(default=7.0, gt=0, description="purchases this close are bought together")
    purchase_gap_days: float = Field(
        default=1.0, gt=0, description="time apart that halves the strength of a pair"
    )
    max_companions: int = Field(default=10, ge=1, le=500, description="visits that one is paired with at most")
    list_length: int = Field(default=20, ge=1, le=200, description="longest for-you list")
    max_recent: int = Field(
        default=20, ge=1, le=200, description="products of late that a for-you list follows from"
    )
    interest_half_life_days: float = Field(
        default=30.0, gt=0, description="age at which a product of late counts half"
    )
    before_share: float = Field(
        default=0.3, ge=0, le=1, description="what being viewed before counts, where being viewed after counts one"
    )
    damping: float = Field(default=2.0, ge=0, description="visits added to a product's own against chance")
    neighbours: NeighbourSessionSettings = NeighbourSessionSettings()
    fold_in: FoldInSettings = FoldInSettings()
    blend: BlendSettings = BlendSettings()
    quarantine: QuarantineSettings = QuarantineSettings()
    learning: LearningSettings = LearningSettings()
    choice: ChoiceSettings = ChoiceSettings()
    segment_attribute: str = Field(
        default="",
        max_length=100,
        description="attribute of users' profiles by which they make segments, such as city; empty: no segments",
    )
    max_newcomers: int = Field(
        default=20, ge=1, description="lists of users known by their profile alone, made anew in one round"
    )
    max_relisted: int = Field(
        default=500, ge=1, description="lists in one round that are made anew because a product vanished"
    )

    def history_rules(self) -> HistoryRules:
        """Bounds of a history."""
        return HistoryRules(self.max_events, round(self.retention_days * _DAY_MS))

    def pair_rules(self) -> PairRules:
        """Which events make a pair."""
        return PairRules(
            view_window_ms=round(self.view_window_minutes * 60_000),
            view_gap_ms=max(1, round(self.view_gap_seconds * 1_000)),
            purchase_window_ms=round(self.purchase_window_days * _DAY_MS),
            purchase_gap_ms=max(1, round(self.purchase_gap_days * _DAY_MS)),
            max_companions=self.max_companions,
            weights=self.action_weights.rules(),
        )

    def query_rules(self) -> QueryRules:
        """How a history becomes a query."""
        half_life_ms = max(1, round(self.interest_half_life_days * _DAY_MS))
        return QueryRules(self.max_recent, half_life_ms, self.action_weights.rules())

    def scoring_rules(self) -> ScoringRules:
        """How each scorer scores."""
        rows = RowScoring(self.before_share, self.damping)
        sessions, neighbours = self.neighbours.session_rules(), self.neighbours.rules()
        attribute, learning = self.segment_attribute, self.learning.rules()
        return ScoringRules(
            rows, sessions, neighbours, self.fold_in.rules(), attribute, learning, self.choice.rules()
        )
