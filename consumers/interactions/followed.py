"""What for-you lists follow from besides a shopper's own history: tables of other stages and other shoppers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from consumers.interactions.live_quality import LiveQuality
from consumers.runtime.causes import NO_CAUSE, Cause
from consumers.runtime.stage import AnyMessage
from recsys.for_you import ForYou
from schemas.codec import decode
from schemas.errors import ContractError
from schemas.events import Kind, RecommendationUpdated, UserHistory
from schemas.topics import (
    BLEND_STATE,
    INTERACTION_STATE,
    ITEM_FACTORS,
    ITEM_STATE,
    PRODUCT_CREATED,
    PROFILE_FACTORS,
    RECOMMENDATION_UPDATED,
)

_SIMILAR = f"{Kind.SIMILAR}:"
_POPULAR = f"{Kind.POPULAR}:"
_SHOP_LISTS = {f"{kind}:": kind for kind in (Kind.TRENDING, Kind.POPULAR)}

OwnHistory = Callable[[int, str], UserHistory | None]
"""The history of a partition's subject as it is now, where it is kept here."""


class FollowedTables:
    """Hands records of tables on to what needs them."""

    def __init__(self, for_you: ForYou, quality: LiveQuality, segment_attribute: str, own: OwnHistory) -> None:
        self._for_you = for_you
        self._quality = quality
        self._segment_lists = f"{_POPULAR}{segment_attribute}=" if segment_attribute else None
        self._own = own
        self._takes: Mapping[str, Callable[[AnyMessage], None]] = {
            ITEM_STATE.name: self._take_row,
            PROFILE_FACTORS.name: self._take_profiles,
            BLEND_STATE.name: self._take_lessons,
            RECOMMENDATION_UPDATED.name: self._take_list,
        }
        self.lists_cause = NO_CAUSE
        """By which what newcomers' lists follow from changed last: a list of the shop, of a segment, tastes."""
        self.catalogue_cause = NO_CAUSE
        """The latest that made a product vanish, for lists that are found to hold one after a restart."""

    def wants(self, key: str) -> bool:
        """Whether a list of recommendation-updated is one that for-you lists follow from."""
        if key.startswith(_SIMILAR) or key in _SHOP_LISTS:
            return True
        return self._segment_lists is not None and key.startswith(self._segment_lists)

    def take(self, messages: Sequence[AnyMessage]) -> dict[str, Cause]:
        """Take the tables as they are now; returns the products that vanished, each with its cause."""
        vanished: dict[str, Cause] = {}
        sessions = {message.key: message for message in messages if message.topic == INTERACTION_STATE.name}
        factors = [(message.key, message.value) for message in messages if message.topic == ITEM_FACTORS.name]
        for message in messages:
            if message.topic == PRODUCT_CREATED.name:
                if self._take_product(message):
                    vanished[message.key] = self.catalogue_cause
            elif message.topic in self._takes:
                self._takes[message.topic](message)
        if sessions:
            self._for_you.sessions.put({subject: self._session(message) for subject, message in sessions.items()})
        if factors:
            self._for_you.factors.put(factors)
        return vanished

    def _take_product(self, message: AnyMessage) -> bool:
        """Take a product; True where it vanished."""
        change = self._for_you.put_product(message.key, message.value)
        if not self._for_you.is_recommendable(message.key):
            self.catalogue_cause = Cause.of(message)
        return change is not None and change.vanished

    def _take_row(self, message: AnyMessage) -> None:
        self._for_you.put_row(message.key, message.record.value)

    def _take_lessons(self, message: AnyMessage) -> None:
        self._for_you.weights.follow(message.value)

    def _take_profiles(self, message: AnyMessage) -> None:
        self._for_you.factors.put_profiles(message.value)
        self.lists_cause = Cause.of(message)

    def _take_list(self, message: AnyMessage) -> None:
        key, data = message.key, message.record.value
        if key.startswith(_SIMILAR):
            self._for_you.tables.put_looks(key.removeprefix(_SIMILAR), data)
            return
        listed = _shop_list(data)
        kind = _SHOP_LISTS.get(key)
        if kind is None:
            self._for_you.put_segment(key.removeprefix(_POPULAR), listed)
        else:
            self._for_you.put_list(kind, listed)
            self._quality.put_list(kind, [item.product_id for item in listed.items] if listed else [])
        self.lists_cause = Cause.of(message)

    def _session(self, message: AnyMessage) -> UserHistory | None:
        """A shopper's history as the log has it; one that is kept here need not be decoded for that."""
        data = message.record.value
        if data is None:
            return None
        own = self._own(message.partition, message.key)
        if own is not None:
            return own
        try:
            history = decode(INTERACTION_STATE.name, data)
        except ContractError:
            return None  # its owner cannot restore it either, and says so
        return history if isinstance(history, UserHistory) else None


def _shop_list(data: bytes | None) -> RecommendationUpdated | None:
    """A list of the shop or a segment; one that cannot be read counts as none, and is its owner's to report."""
    try:
        listed = None if data is None else decode(RECOMMENDATION_UPDATED.name, data)
    except ContractError:
        return None
    return listed if isinstance(listed, RecommendationUpdated) else None
