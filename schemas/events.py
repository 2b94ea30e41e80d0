"""Frozen event types, one a topic; fields, units and defaults are those of the ``.avsc`` beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from operator import index
from typing import NamedTuple

from schemas.errors import InvalidEventError

MAX_ID_BYTES = 256
"""Longest id of a product, user, session or event, UTF-8 bytes."""
_SHORT_ID_CHARACTERS = MAX_ID_BYTES // 4
"""What fits however it is encoded."""


_MAX_LONG = 2**63 - 1
_MAX_RANK = 10_000


class Action(IntEnum):
    """What a shopper did; the numbers are those on the wire."""

    VIEW = 0
    CART_ADD = 1
    PURCHASE = 2


class Relation(IntEnum):
    """How a companion stands to a product; the numbers are those on the wire."""

    AFTER = 0
    BEFORE = 1
    BOUGHT_TOGETHER = 2


_ACTIONS = frozenset(Action)
_RELATIONS = frozenset(Relation)


class Kind:
    """The kinds of list, as they stand in keys, metrics and on the command line."""

    SIMILAR = "similar"
    VIEWED_NEXT = "viewed-next"
    BOUGHT_TOGETHER = "bought-together"
    FOR_YOU = "for-you"
    TRENDING = "trending"
    POPULAR = "popular"
    COMPLETE_THE_LOOK = "complete-the-look"
    OF_PRODUCTS = (SIMILAR, VIEWED_NEXT, BOUGHT_TOGETHER, COMPLETE_THE_LOOK)
    """Those whose subject is a product."""
    ALL = (*OF_PRODUCTS, FOR_YOU, TRENDING, POPULAR)


class Reason:
    """Why a product is listed, machine-readable."""

    LOOKS_LIKE = "looks-like"
    VIEWED_NEXT = "viewed-next"
    BOUGHT_TOGETHER = "bought-together"
    BECAUSE_VIEWED = "because-viewed"
    BECAUSE_BOUGHT = "because-bought"
    TRENDING = "trending"
    POPULAR = "popular"
    POPULAR_IN_SEGMENT = "popular-in-segment"
    NEW = "new"
    SHOPPERS_LIKE_YOU = "shoppers-like-you"
    YOUR_TASTE = "your-taste"
    PINNED = "pinned"
    COMPLETES_THE_LOOK = "completes-the-look"

    ALL = (
        LOOKS_LIKE,
        VIEWED_NEXT,
        BOUGHT_TOGETHER,
        BECAUSE_VIEWED,
        BECAUSE_BOUGHT,
        TRENDING,
        POPULAR,
        POPULAR_IN_SEGMENT,
        NEW,
        SHOPPERS_LIKE_YOU,
        YOUR_TASTE,
        PINNED,
        COMPLETES_THE_LOOK,
    )


def _check_id(name: str, value: object) -> None:
    if type(value) is str and 0 < len(value) <= _SHORT_ID_CHARACTERS:
        return
    if not isinstance(value, str):
        raise InvalidEventError(f"{name} is {value!r}; give the shop's own id as text")
    if not value:
        raise InvalidEventError(f"{name} is empty; give the shop's own id")
    if len(value) > MAX_ID_BYTES or len(value.encode(errors="surrogatepass")) > MAX_ID_BYTES:
        raise InvalidEventError(f"{name} is longer than {MAX_ID_BYTES} bytes: {value[:40]!r}…")


def _check_time(event_time_ms: int) -> None:
    try:
        possible = 0 <= index(event_time_ms) <= _MAX_LONG
    except TypeError:
        possible = False
    if not possible:
        raise InvalidEventError(
            f"event_time_ms is {event_time_ms!r}; give whole milliseconds since 1970, not seconds or a fraction"
        )


@dataclass(frozen=True, slots=True)
class ProductCreated:
    """A product as it is now; published again whenever it changes."""

    product_id: str
    event_time_ms: int
    title: str = ""
    category: str = ""
    image_url: str | None = None
    price: float | None = None
    in_stock: bool = True
    attributes: Mapping[str, str] = field(default_factory=dict)
    other_image_urls: Sequence[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        _check_id("product_id", self.product_id)
        _check_time(self.event_time_ms)
        if self.price is not None and not (math.isfinite(self.price) and self.price >= 0):
            raise InvalidEventError(f"price of {self.product_id} is {self.price}; give a number of at least 0")


@dataclass(frozen=True, slots=True)
class Interaction:
    """What the three interaction events share: who did something with which product, and when."""

    event_id: str
    event_time_ms: int
    user_id: str | None
    session_id: str | None
    product_id: str

    def __post_init__(self) -> None:
        _check_id("event_id", self.event_id)
        _check_id("product_id", self.product_id)
        _check_time(self.event_time_ms)
        if self.user_id is not None:
            _check_id("user_id", self.user_id)
        elif self.session_id is None:
            raise InvalidEventError(f"event {self.event_id} has neither user_id nor session_id; give one")
        if self.session_id is not None:
            _check_id("session_id", self.session_id)

    @property
    def subject(self) -> str:
        """Whose history this belongs to: the user's, or the session's for a guest."""
        return self.user_id if self.user_id is not None else self.session_id or ""


def _check_quantity(event_id: str, quantity: float, *, returns: bool) -> None:
    if not math.isfinite(quantity) or quantity == 0 or (quantity < 0 and not returns):
        allowed = "a number other than 0" if returns else "a number above 0"
        raise InvalidEventError(f"quantity of event {event_id} is {quantity}; give {allowed}")


@dataclass(frozen=True, slots=True)
class PdpView(Interaction):
    """A product page was viewed."""


@dataclass(frozen=True, slots=True)
class CartAdd(Interaction):
    """A product was put into the cart."""

    quantity: float = 1.0

    def __post_init__(self) -> None:
        Interaction.__post_init__(self)
        _check_quantity(self.event_id, self.quantity, returns=False)


@dataclass(frozen=True, slots=True)
class Purchase(Interaction):
    """A product was bought; a negative quantity is a return."""

    quantity: float = 1.0
    unit_price: float | None = None

    def __post_init__(self) -> None:
        Interaction.__post_init__(self)
        _check_quantity(self.event_id, self.quantity, returns=True)


@dataclass(frozen=True, slots=True)
class Shown(Interaction):
    """What impressions and clicks share: which list stood where, and at what rank (from 1; 0 is unknown).

    ``variant`` is ``experiment:variant`` where the list was part of an experiment; ``reason`` is why the product
    stood in it, a ``Reason``, which says which scorer spoke for it.
    """

    recommendation_id: str = ""
    placement: str = ""
    kind: str = ""
    rank: int = 0
    variant: str = ""
    reason: str = ""

    def __post_init__(self) -> None:
        Interaction.__post_init__(self)
        for name in ("recommendation_id", "placement", "kind", "variant", "reason"):
            value = getattr(self, name)
            if value:
                _check_id(name, value)
        if not 0 <= self.rank <= _MAX_RANK:
            raise InvalidEventError(f"rank of event {self.event_id} is {self.rank}; give 1 to {_MAX_RANK}, or 0")


@dataclass(frozen=True, slots=True)
class Impression(Shown):
    """A recommended product came into a shopper's sight."""


@dataclass(frozen=True, slots=True)
class Click(Shown):
    """A shopper followed a recommended product."""


@dataclass(frozen=True, slots=True)
class UserUpdated:
    """What is known of a user."""

    user_id: str
    event_time_ms: int
    attributes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_id("user_id", self.user_id)
        _check_time(self.event_time_ms)


@dataclass(frozen=True, slots=True)
class SessionJoined:
    """A guest signed in: what the session did is the user's."""

    session_id: str
    user_id: str
    event_time_ms: int

    def __post_init__(self) -> None:
        _check_id("session_id", self.session_id)
        _check_id("user_id", self.user_id)
        _check_time(self.event_time_ms)


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
        _check_id("user_id", self.user_id)
        _check_time(self.event_time_ms)
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
        _check_id("product_id", self.product_id)
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
        _check_time(min(self.visit_times_ms, default=0))
        _check_time(min(self.companion_times_ms, default=0))


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
        _check_id("segment", self.segment)
        if not len(self.product_ids) == len(self.visit_times_ms) == len(self.visit_weights):
            raise InvalidEventError(f"the arrays of visits of {self.segment} differ in length")
        if not math.isfinite(sum(self.visit_weights)):
            raise InvalidEventError(f"a weight of {self.segment} is not finite")
        _check_time(min(self.visit_times_ms, default=0))

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


class OutcomeName:
    """What a recommendation led to, as it stands in events and metrics."""

    CLICK = "click"
    CART_ADD = "cart-add"
    PURCHASE = "purchase"
    ALL = (CLICK, CART_ADD, PURCHASE)


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
