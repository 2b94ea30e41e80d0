"""What is answered and taken, as pydantic models: for the OpenAPI document, for validation and for the client."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from schemas.events import MAX_ID_BYTES

Id = Annotated[str, Field(min_length=1, max_length=MAX_ID_BYTES)]
KindName = Literal[
    "similar", "viewed-next", "bought-together", "for-you", "trending", "popular", "complete-the-look"
]

MAX_BATCH = 500
"""Most events or products in one request."""


class Item(BaseModel):
    """One product of a list."""

    rank: int = Field(description="from 1", examples=[1])
    product_id: str = Field(examples=["P123"])
    score: float = Field(description="comparable within its list alone", examples=[0.93])
    reason: str = Field(description="machine-readable", examples=["because-viewed"])
    because: str = Field(description="product or category that the reason is about; may be empty", examples=["P7"])
    text: str = Field(description="the reason as a shopper reads it", examples=["because you viewed Mug, blue"])
    rules: list[str] = Field(description="what the shop's rules did with it", examples=[["boost: winter coats"]])
    title: str = Field(examples=["Mug, red"])
    category: str = Field(examples=["mugs"])
    price: float | None = Field(examples=[9.5])
    in_stock: bool = True
    image_url: str | None = Field(examples=["https://img.example/P123.jpg"])


class Shelf(BaseModel):
    """One list as it is to be shown; an experiment may show another kind than was asked for at its place."""

    kind: str = Field(examples=["for-you"])
    subject: str = Field(description="product, user, session or category; empty: the whole shop", examples=["u7"])
    recommendation_id: str = Field(
        description="send it with impressions and clicks", examples=["for-you.12.5d41402a"]
    )
    revision: int = Field(description="of the list as it was published; 0: there is none yet", examples=[12])
    published_at_ms: int = Field(examples=[1_700_000_000_000])
    event_time_ms: int = Field(examples=[1_700_000_000_000])
    caused_by: str = Field(description="event that changed it last", examples=["pdp-view/3f2a"])
    caused_at_ms: int = Field(examples=[1_700_000_000_000])
    fallback: str | None = Field(description="what the list was filled up with, if anything", examples=["popular"])
    variant: str = Field(
        default="", description="of an experiment; send it with impressions and clicks", examples=["shelf-test:b"]
    )
    items: list[Item]


class Answer(BaseModel):
    """Lists that were asked for together."""

    stale: bool = Field(description="true while Kafka is away: what is known is still answered")
    as_of_ms: int = Field(description="when everything was last known to be in", examples=[1_700_000_000_000])
    lists: list[Shelf]


class Product(BaseModel):
    """A product as the shop published it."""

    product_id: Id = Field(examples=["P123"])
    title: str = Field(default="", max_length=1_000, examples=["Mug, red"])
    category: str = Field(default="", max_length=MAX_ID_BYTES, examples=["mugs"])
    image_url: str | None = Field(default=None, max_length=4_000, examples=["https://img.example/P123.jpg"])
    price: float | None = Field(default=None, ge=0, allow_inf_nan=False, examples=[9.5])
    in_stock: bool = True
    other_image_urls: list[Annotated[str, Field(max_length=4_000)]] = Field(
        default_factory=list, max_length=100, description="more pictures of it"
    )
    attributes: dict[Annotated[str, Field(max_length=200)], Annotated[str, Field(max_length=2_000)]] = Field(
        default_factory=dict, max_length=100, examples=[{"colour": "red"}]
    )


class NewProduct(Product):
    """A product to be published, whole: what is left out is empty from then on."""

    model_config = ConfigDict(extra="forbid", strict=True)

    event_time_ms: int | None = Field(default=None, ge=0, lt=2**53, description="when it changed; now if left out")


_WHO: JsonDict = {"anyOf": [{"required": ["user_id"]}, {"required": ["session_id"]}]}


class _Event(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra=_WHO)

    product_id: Id = Field(examples=["P123"])
    user_id: Id | None = Field(default=None, description="a known customer", examples=["u7"])
    session_id: Id | None = Field(
        default=None, description="browser session; all there is of a guest", examples=["s-5f3a"]
    )
    event_id: Id | None = Field(default=None, description="makes sending it again safe; made up if left out")
    event_time_ms: int | None = Field(
        default=None, ge=0, lt=2**53, description="milliseconds since 1970, not ahead of now; now if left out"
    )


class View(_Event):
    """A product page was viewed."""

    type: Literal["view"]


class CartAdd(_Event):
    """A product was put into the cart."""

    type: Literal["cart-add"]
    quantity: float = Field(default=1.0, gt=0, allow_inf_nan=False)


class Purchase(_Event):
    """A product was bought; a quantity below 0 is a return."""

    type: Literal["purchase"]
    quantity: float = Field(default=1.0, allow_inf_nan=False, json_schema_extra={"not": {"const": 0}})
    unit_price: float | None = Field(default=None, ge=0, allow_inf_nan=False)


class _Shown(_Event):
    placement: str = Field(default="", max_length=MAX_ID_BYTES, examples=["product-page"])
    recommendation_id: str = Field(default="", max_length=MAX_ID_BYTES, examples=["for-you.12.5d41402a"])
    kind: str = Field(default="", max_length=MAX_ID_BYTES, examples=["for-you"])
    rank: int = Field(default=0, ge=0, le=10_000)
    variant: str = Field(default="", max_length=MAX_ID_BYTES, examples=["shelf-test:b"])
    reason: str = Field(default="", max_length=MAX_ID_BYTES, examples=["because-viewed"])


class Impression(_Shown):
    """A recommended product came into sight."""

    type: Literal["impression"]


class Click(_Shown):
    """A recommended product was followed."""

    type: Literal["click"]


AnyEvent = Annotated[View | CartAdd | Purchase | Impression | Click, Field(discriminator="type")]


class Accepted(BaseModel):
    """Kafka has these events."""

    accepted: int = Field(examples=[1])
    event_ids: list[str] = Field(description="in the order of the request", examples=[["3f2a"]])


class Written(BaseModel):
    """Kafka has what was written."""

    accepted: int = Field(examples=[1])


class ImageLink(BaseModel):
    """The picture to search by, as a public address."""

    model_config = ConfigDict(extra="forbid")

    image_url: str = Field(
        min_length=1, max_length=4_000, pattern="^https?://", examples=["https://img.example/P1.jpg"]
    )


class Match(BaseModel):
    """A product that looks like the photo."""

    rank: int
    product_id: str
    score: float = Field(description="cosine of the features, at most 1")
    title: str
    category: str
    price: float | None
    in_stock: bool
    image_url: str | None


class Matches(BaseModel):
    """What looks like the photo, best first; no longer than there are such products."""

    items: list[Match]


class ChangedItem(BaseModel):
    """One product of a list that changed."""

    product_id: str
    score: float
    rank: int
    reason: str
    because: str
    text: str


class Change(BaseModel):
    """A list that changed, as `recommendation-updated` of a stream says it: whole, not as a difference."""

    kind: str
    subject: str
    revision: int = Field(description="0: the list was withdrawn")
    items: list[ChangedItem]
    event_time_ms: int
    caused_by: str
    caused_at_ms: int
    published_at_ms: int


class Health(BaseModel):
    """How the process is."""

    ready: bool
    stale: bool
    as_of_ms: int
