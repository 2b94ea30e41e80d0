"""Frozen event types, one a topic; fields, units and defaults are those of the ``.avsc`` beside it.

They stand here, and in ``shop_events`` and ``states``; all are imported from here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from schemas.checks import MAX_ID_BYTES
from schemas.names import (
    Action,
    Kind,
    OutcomeName,
    Reason,
    Relation,
)
from schemas.shop_events import (
    CartAdd,
    Click,
    Impression,
    Interaction,
    PdpView,
    ProductCreated,
    Purchase,
    SessionJoined,
    Shown,
    UserUpdated,
)
from schemas.states import (
    BlendState,
    CoVisits,
    ImageFeature,
    ItemFactors,
    ItemState,
    OutcomeState,
    ProfileFactors,
    RefitFactors,
    SegmentVisits,
    SessionHistory,
    SimilarState,
    TrendingState,
    UserHistory,
)

__all__ = [
    "MAX_ID_BYTES",
    "Action",
    "BlendState",
    "CartAdd",
    "Click",
    "CoVisits",
    "Event",
    "ImageFeature",
    "Impression",
    "Interaction",
    "ItemFactors",
    "ItemState",
    "Kind",
    "ListedProduct",
    "OutcomeName",
    "OutcomeState",
    "PdpView",
    "ProductCreated",
    "ProfileFactors",
    "Purchase",
    "Reason",
    "RecommendationOutcome",
    "RecommendationUpdated",
    "RefitFactors",
    "Relation",
    "SegmentVisits",
    "SessionHistory",
    "SessionJoined",
    "Shown",
    "SimilarState",
    "TrendingState",
    "UserHistory",
    "UserUpdated",
]


class ListedProduct(NamedTuple):
    """One recommended product, with its score and the reason."""

    product_id: str
    score: float
    reason: str
    because: str = ""


@dataclass(frozen=True, slots=True)
class RecommendationUpdated:
    """A ranked list as it is now; it replaces every older revision."""

    kind: str
    subject: str
    revision: int
    items: Sequence[ListedProduct]
    event_time_ms: int
    caused_by: str
    caused_at_ms: int
    encoder_id: str = ""

    @property
    def key(self) -> str:
        """The message key: ``kind:subject``."""
        return f"{self.kind}:{self.subject}"


@dataclass(frozen=True, slots=True)
class RecommendationOutcome:
    """What a recommendation led to; a higher ``revision`` of the same ``event_id`` replaces a lower one."""

    event_id: str
    subject: str
    outcome: str
    revision: int
    recommendation_id: str
    kind: str
    placement: str
    variant: str
    rank: int
    product_id: str
    quantity: float
    revenue: float
    event_time_ms: int
    click_time_ms: int
    impression_time_ms: int | None = None
    reason: str = ""


Event = (
    ProductCreated
    | PdpView
    | CartAdd
    | Purchase
    | Impression
    | Click
    | UserUpdated
    | SessionJoined
    | SessionHistory
    | ImageFeature
    | UserHistory
    | CoVisits
    | SegmentVisits
    | ItemState
    | TrendingState
    | BlendState
    | SimilarState
    | ItemFactors
    | ProfileFactors
    | RefitFactors
    | RecommendationUpdated
    | OutcomeState
    | RecommendationOutcome
)
"""Every value that a topic carries."""
