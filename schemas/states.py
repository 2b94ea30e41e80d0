"""What stages tell each other, and keep: features, histories, rows, vectors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from schemas.checks import check_id, check_time
from schemas.errors import InvalidEventError
from schemas.names import Action, Relation

_ACTIONS = frozenset(Action)
_RELATIONS = frozenset(Relation)


@dataclass(frozen=True, slots=True)
class SessionHistory:
    """What a guest did before they signed in; one position in each sequence is one event."""

    user_id: str
    session_id: str
    joined_at_ms: int
    event_time_ms: int
    event_hashes: Sequence[int]
    event_times_ms: Sequence[int]
    product_ids: Sequence[str]
    actions: Sequence[int]
    quantities: Sequence[float]

    def __post_init__(self) -> None:
        check_id("user_id", self.user_id)
        check_time(self.event_time_ms)
        columns = (self.event_hashes, self.event_times_ms, self.actions, self.quantities)
        if any(len(column) != len(self.product_ids) for column in columns):
            raise InvalidEventError(f"the columns of the history of {self.session_id} differ in length")


@dataclass(frozen=True, slots=True)
class ImageFeature:
    """The CNN feature of a product's pictures; ``vector`` is float16, little-endian, unit length.

    It is ``main_weight`` of the main picture's and the rest of the mean of the others', if there are any.
    """

    product_id: str
    event_time_ms: int
    encoder_id: str
    image_digest: bytes
    category: str
    vector: bytes
    caused_by: str
    caused_at_ms: int
    earlier_encoder_id: str = ""
    earlier_vector: bytes = b""
    tried_encoder_id: str = ""
    other_digests: Sequence[bytes] = field(default_factory=list)
    main_weight: float = 1.0


@dataclass(frozen=True, slots=True)
class UserHistory:
    """A user's bounded history; one position in each sequence is one event."""

    subject: str
    event_hashes: Sequence[int]
    event_times_ms: Sequence[int]
    product_ids: Sequence[str]
    actions: Sequence[int]
    quantities: Sequence[float]
    listed: Sequence[str]
    revision: int
    attributes: Mapping[str, str] = field(default_factory=dict)
    is_quarantined: bool = False


@dataclass(frozen=True, slots=True)
class CoVisits:
    """What one batch of events says about one product: its visits, and what was visited with it.

    ``withdrawn`` says that visits counted before are taken back.
    """

    product_id: str
    visit_times_ms: Sequence[int]
    visit_actions: Sequence[int]
    visit_weights: Sequence[float]
    companion_ids: Sequence[str]
    companion_times_ms: Sequence[int]
    companion_relations: Sequence[int]
    companion_strengths: Sequence[float]
    caused_by: str
    caused_at_ms: int
    withdrawn: bool = False

    def __post_init__(self) -> None:
        check_id("product_id", self.product_id)
        if not len(self.visit_times_ms) == len(self.visit_actions) == len(self.visit_weights):
            raise InvalidEventError(f"the arrays of visits of {self.product_id} differ in length")
        companions = len(self.companion_ids)
        if (
            not companions
            == len(self.companion_times_ms)
            == len(self.companion_relations)
            == len(self.companion_strengths)
        ):
            raise InvalidEventError(f"the arrays of companions of {self.product_id} differ in length")
        if not _ACTIONS.issuperset(self.visit_actions) or not _RELATIONS.issuperset(self.companion_relations):
            raise InvalidEventError(f"co-visits of {self.product_id} name an action or a relation that is none")
        if not math.isfinite(sum(self.visit_weights)):
            raise InvalidEventError(f"a weight of {self.product_id} is not finite")
        if not math.isfinite(sum(self.companion_strengths)):
            raise InvalidEventError(f"a strength of {self.product_id} is not finite")
        check_time(min(self.visit_times_ms, default=0))
        check_time(min(self.companion_times_ms, default=0))


@dataclass(frozen=True, slots=True)
class SegmentVisits:
    """What one batch of events says about one segment of users; one position in the columns is one visit."""

    segment: str
    product_ids: Sequence[str]
    visit_times_ms: Sequence[int]
    visit_weights: Sequence[float]
    caused_by: str
    caused_at_ms: int

    def __post_init__(self) -> None:
        check_id("segment", self.segment)
        if not len(self.product_ids) == len(self.visit_times_ms) == len(self.visit_weights):
            raise InvalidEventError(f"the arrays of visits of {self.segment} differ in length")
        if not math.isfinite(sum(self.visit_weights)):
            raise InvalidEventError(f"a weight of {self.segment} is not finite")
        check_time(min(self.visit_times_ms, default=0))

    @property
    def withdrawn(self) -> set[str]:
        """Products of which visits are taken back."""
        return {name for name, weight in zip(self.product_ids, self.visit_weights, strict=True) if weight < 0}


@dataclass(frozen=True, slots=True)
class ItemState:
    """A product's bounded co-occurrence row, forward-decayed relative to ``epoch``."""

    product_id: str
    epoch: int
    unit: float
    visits: float
    purchases: float
    companion_ids: Sequence[str]
    viewed_after: Sequence[float]
    viewed_before: Sequence[float]
    bought_together: Sequence[float]
    event_time_ms: int
    listed_next: Sequence[str]
    listed_together: Sequence[str]
    revision: int


@dataclass(frozen=True, slots=True)
class TrendingState:
    """A product's decayed popularity, short-lived and long-lived, with everybody and by segment."""

    product_id: str
    trending_epoch: int
    trending: float
    popular_epoch: int
    popular: float
    event_time_ms: int
    segments: Sequence[str]
    segment_trending: Sequence[float]
    segment_popular: Sequence[float]

    def __post_init__(self) -> None:
        if not len(self.segments) == len(self.segment_trending) == len(self.segment_popular):
            raise InvalidEventError(f"the arrays of segments of {self.product_id} differ in length")


@dataclass(frozen=True, slots=True)
class BlendState:
    """What a partition's shoppers of one group taught about scorers, one position in the columns each."""

    partition: int
    knowledge: str
    segment: str
    epoch: int
    events: float
    scorers: Sequence[str]
    gains: Sequence[float]
    credits: Sequence[float]
    event_time_ms: int

    def __post_init__(self) -> None:
        if not len(self.scorers) == len(self.gains) == len(self.credits):
            raise InvalidEventError(f"the columns of scorers of {self.key} differ in length")

    @property
    def key(self) -> str:
        """The message key: ``partition/knowledge/segment``."""
        return f"{self.partition}/{self.knowledge}/{self.segment}"


@dataclass(frozen=True, slots=True)
class SimilarState:
    """What corrects hubs among an encoder's features; arrays are little-endian, row by row.

    ``centre`` is float32 (d,), ``directions`` float16 (d, q), ``sample`` float16 (s, q).
    """

    encoder_id: str
    products: int
    usual: float
    centre: bytes
    directions: bytes
    sample: bytes
    event_time_ms: int


@dataclass(frozen=True, slots=True)
class ItemFactors:
    """A product's matrix-factorisation vector; ``vector`` is float32, little-endian."""

    product_id: str
    generation: int
    vector: bytes
    event_time_ms: int
    generation_items: int = 0


@dataclass(frozen=True, slots=True)
class RefitFactors:
    """A part of what a full refit found; ``vectors`` are float32, little-endian, product after product."""

    generation: int
    part: int
    parts: int
    product_ids: Sequence[str]
    vectors: bytes
    event_time_ms: int


@dataclass(frozen=True, slots=True)
class ProfileFactors:
    """A vector for each feature of profiles, one after the other; ``vectors`` is float32, little-endian."""

    generation: int
    features: Sequence[str]
    vectors: bytes
    event_time_ms: int

    @property
    def key(self) -> str:
        """The message key, of the one record that there is."""
        return "profile"


@dataclass(frozen=True, slots=True)
class OutcomeState:
    """What a shopper was shown, clicked and bought of late, in columns; those of one prefix belong together."""

    subject: str
    latest_ms: int
    shelf_recommendation_ids: Sequence[str]
    shelf_placements: Sequence[str]
    shelf_kinds: Sequence[str]
    shelf_variants: Sequence[str]
    impression_times_ms: Sequence[int]
    impression_product_ids: Sequence[str]
    impression_shelves: Sequence[int]
    click_event_ids: Sequence[str]
    click_times_ms: Sequence[int]
    click_product_ids: Sequence[str]
    click_shelves: Sequence[int]
    click_ranks: Sequence[int]
    click_seen_times_ms: Sequence[int]
    click_seen_shelves: Sequence[int]
    click_revisions: Sequence[int]
    action_event_ids: Sequence[str]
    action_times_ms: Sequence[int]
    action_product_ids: Sequence[str]
    action_kinds: Sequence[int]
    action_quantities: Sequence[float]
    action_revenues: Sequence[float]
    action_cause_times_ms: Sequence[int]
    action_cause_ids: Sequence[str]
    action_click_ids: Sequence[str]
    action_click_times_ms: Sequence[int]
    action_click_ranks: Sequence[int]
    action_seen_times_ms: Sequence[int]
    action_shelves: Sequence[int]
    action_revisions: Sequence[int]
    shelf_reasons: Sequence[str] = field(default_factory=list)
