"""What a shop publishes: events, and the two withdrawals that are null values on the wire."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.codec import encode, topic_of
from schemas.errors import InvalidEventError
from schemas.events import (
    MAX_ID_BYTES,
    CartAdd,
    Click,
    Impression,
    PdpView,
    ProductCreated,
    Purchase,
    SessionJoined,
    UserUpdated,
)
from schemas.keys import key_of
from schemas.topics import PRODUCT_CREATED, USER_UPDATED, Topic


def _check_id(name: str, value: str) -> None:
    if not value or len(value.encode(errors="surrogatepass")) > MAX_ID_BYTES:
        raise InvalidEventError(f"{name} is {value[:40]!r}; give the shop's own id, 1 to {MAX_ID_BYTES} bytes")


@dataclass(frozen=True, slots=True)
class ProductRetired:
    """A product is gone for good: a null value on product-created; it leaves every list."""

    product_id: str

    def __post_init__(self) -> None:
        _check_id("product_id", self.product_id)


@dataclass(frozen=True, slots=True)
class UserForgotten:
    """A user asked to be forgotten: a null value on user-updated."""

    user_id: str

    def __post_init__(self) -> None:
        _check_id("user_id", self.user_id)


ShopEvent = ProductCreated | PdpView | CartAdd | Purchase | Impression | Click | UserUpdated | SessionJoined
"""The events that a shop publishes; every other topic is written by the recommender itself."""

Publication = ShopEvent | ProductRetired | UserForgotten
"""Everything that a shop may publish."""


def message_of(publication: Publication) -> tuple[Topic, bytes, bytes | None]:
    """Topic, key and value of the message; raises ``ContractError`` where the event does not fit its schema."""
    if isinstance(publication, ProductRetired):
        return PRODUCT_CREATED, _utf8(publication.product_id), None
    if isinstance(publication, UserForgotten):
        return USER_UPDATED, _utf8(publication.user_id), None
    return topic_of(publication), _utf8(key_of(publication)), encode(publication)


def _utf8(key: str) -> bytes:
    try:
        return key.encode()
    except UnicodeEncodeError as error:
        raise InvalidEventError(f"the id {key!r} is not valid Unicode; ids are UTF-8") from error
