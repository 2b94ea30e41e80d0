"""The stage: what shoppers do in, their for-you lists and what was visited together out.

One hop from an event to the shopper's own list: the history, the list and the co-visits of a batch are one
transaction. What the list follows from besides (other products' rows, looks, what is popular) comes from tables.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, groupby, islice

from consumers.forgetting import Forgetting
from consumers.interactions.settings import InteractionSettings
from consumers.runtime.causes import NO_CAUSE, Cause
from consumers.runtime.outbox import Outbox
from consumers.runtime.stage import AnyMessage, Stage, StageSpec
from recsys.co_visits import CoVisitBatch
from recsys.evaluation.live import rank_class, rank_in
from recsys.for_you import ForYou
from recsys.forgetting import Unnamed, Withdrawals
from recsys.histories import ADDED, History, history_event
from schemas.codec import decode
from schemas.errors import ContractError
from schemas.events import (
    Action,
    CartAdd,
    Kind,
    ListedProduct,
    PdpView,
    Purchase,
    RecommendationUpdated,
    UserHistory,
)
from schemas.topics import (
    CART_ADD,
    INTERACTION_STATE,
    ITEM_FACTORS,
    ITEM_STATE,
    PDP_VIEW,
    PRODUCT_CREATED,
    PURCHASE,
    RECOMMENDATION_UPDATED,
    USER_UPDATED,
)

_ACTIONS: dict[type[object], Action] = {
    PdpView: Action.VIEW,
    CartAdd: Action.CART_ADD,
    Purchase: Action.PURCHASE,
}
_SIMILAR = f"{Kind.SIMILAR}:"
_SHOP_LISTS = {f"{kind}:": kind for kind in (Kind.TRENDING, Kind.POPULAR)}


class InteractionsStage(Stage):
    """Keeps the histories of its partitions' shoppers and publishes the for-you lists that change.

    A shopper is a user, or a guest's session. What was bought, and what is retired or out of stock, is in no list;
    when a product vanishes, the lists that hold it are made anew, a bounded number a round.
    """

    spec = StageSpec(
        "interactions",
        inputs=(PDP_VIEW, CART_ADD, PURCHASE, USER_UPDATED),
        tables=(PRODUCT_CREATED, ITEM_STATE, ITEM_FACTORS, INTERACTION_STATE, RECOMMENDATION_UPDATED),
        changelogs=(INTERACTION_STATE,),
        undecoded=frozenset({ITEM_STATE.name, INTERACTION_STATE.name, RECOMMENDATION_UPDATED.name}),
    )

    def __init__(self, settings: InteractionSettings | None = None) -> None:
        self._settings = settings = settings or InteractionSettings()
        self._history_rules = settings.history_rules()
        self._pair_rules = settings.pair_rules()
        self.for_you = ForYou(settings.query_rules(), settings.scoring_rules(), settings.blend.model_dump())
        self._shards: dict[int, dict[str, History]] = {}
        self._outdated: dict[int, dict[str, Cause]] = {}
        self._popular: dict[str, int] = {}
        """Ranks in the shop's popular list."""
        self._forgetting = Forgetting()
        self._hits: list[tuple[int, int]] = []
        """Of a batch: ranks in the list published before and in the popular one; 0 is none."""
        self._catalogue_cause = NO_CAUSE
        """The latest that made a product vanish, for lists that are found to hold one after a restart."""

    def wants(self, topic: str, key: str) -> bool:
        """Of recommendation-updated, only lists that for-you lists follow from."""
        return topic != RECOMMENDATION_UPDATED.name or key.startswith(_SIMILAR) or key in _SHOP_LISTS

    def process(self, messages: Sequence[AnyMessage], out: Outbox) -> None:
        """Take what shoppers did; each shopper touched is written to the changelog, and listed, once."""
        pairs, withdrawals = CoVisitBatch(self._pair_rules, self._history_rules), Withdrawals(self._pair_rules)
        of_shoppers: dict[tuple[int, str], list[AnyMessage]] = {}
        for message in messages:
            of_shoppers.setdefault((message.partition, message.key), []).append(message)
        touched: dict[tuple[int, str], Cause] = {}
        self._hits.clear()
        # Shopper by shopper, for then a history is at hand from the first event to the list.
        for (partition, subject), own in of_shoppers.items():
            newest: AnyMessage | None = None
            for is_event, group in groupby(own, lambda message: type(message.value) in _ACTIONS):
                if is_event:
                    newest = self._take(partition, subject, list(group), pairs, out) or newest
                elif requests := [message for message in group if message.value is None]:
                    self._forget(requests[-1], withdrawals, out)
                    newest = None
            if newest is not None:
                touched[partition, subject] = Cause.of(newest)
        self._publish(touched, out)
        for co_visits in chain(pairs.messages(), withdrawals.messages()):
            out.publish(co_visits)
        for (for_you, popular), amount in Counter(self._hits).items():
            out.observe("for_you_hits", rank_class(for_you), amount=amount)
            out.observe("popular_hits", rank_class(popular), amount=amount)

    def follow(self, messages: Sequence[AnyMessage], out: Outbox) -> None:
        """Take the tables as they are now; lists that hold what vanished are made anew in ``poll``."""
        vanished: dict[str, Cause] = {}
        sessions = {message.key: message for message in messages if message.topic == INTERACTION_STATE.name}
        factors = [(message.key, message.value) for message in messages if message.topic == ITEM_FACTORS.name]
        for message in messages:
            data = message.record.value
            if message.topic == ITEM_STATE.name:
                self.for_you.tables.put_row(message.key, data)
            elif message.topic == PRODUCT_CREATED.name:
                change = self.for_you.put_product(message.key, message.value)
                if not self.for_you.is_recommendable(message.key):
                    self._catalogue_cause = Cause.of(message)
                if change is not None and change.vanished:
                    vanished[message.key] = self._catalogue_cause
            elif message.topic == RECOMMENDATION_UPDATED.name:
                self._take_list(message.key, data)
        if sessions:
            self.for_you.sessions.put({subject: self._session(message) for subject, message in sessions.items()})
        if factors:
            self.for_you.factors.put(factors)
        if vanished:
            self._find_outdated(self._shards, vanished)
        self.poll(out)

    def poll(self, out: Outbox) -> None:
        """Make some of the lists anew that hold a product that vanished."""
        waiting = (
            ((partition, subject), cause)
            for partition, outdated in self._outdated.items()
            for subject, cause in outdated.items()
        )
        self._publish(dict(islice(waiting, self._settings.max_relisted)), out)

    def busy(self) -> bool:
        """True while lists wait to be made anew."""
        return any(self._outdated.values())

    def restore(self, messages: Sequence[AnyMessage]) -> None:
        """Take histories back."""
        for message in messages:
            shard = self._shards.setdefault(message.partition, {})
            if message.value is None:
                shard.pop(message.key, None)
                self._forgetting.restore(message)
            else:
                shard[message.key] = History.of_state(message.value, self.for_you.shared_id)

    def restored(self, partitions: Sequence[int], out: Outbox) -> None:
        """Products may have vanished meanwhile."""
        for partition in partitions:
            shard = self._shards.get(partition, {})
            gone = {
                product_id: self._catalogue_cause
                for product_id in {listed for history in shard.values() for listed in history.listed}
                if not self.for_you.is_recommendable(product_id)
            }
            if gone:
                self._find_outdated([partition], gone)

    def revoke(self, partitions: Sequence[int]) -> None:
        """Forget the histories of these partitions."""
        for partition in partitions:
            self._shards.pop(partition, None)
            self._outdated.pop(partition, None)

    def history(self, subject: str) -> History | None:
        """A shopper's history, None where there is none here."""
        return next((shard[subject] for shard in self._shards.values() if subject in shard), None)

    def _take(
        self, partition: int, subject: str, messages: Sequence[AnyMessage], pairs: CoVisitBatch, out: Outbox
    ) -> AnyMessage | None:
        """Add a shopper's events to the history; the newest that changed it, None where none did."""
        messages = self._forgetting.since(subject, messages, out)
        if not messages:
            return None
        shard = self._shards.setdefault(partition, {})
        history = shard.get(subject)
        if history is None:
            history = History()
        shared_id = self.for_you.shared_id
        events = [history_event(message.value, _ACTIONS[type(message.value)], shared_id) for message in messages]
        newest: AnyMessage | None = None
        for message, event, outcome in zip(messages, events, pairs.add(history, events, messages), strict=True):
            if outcome != ADDED:
                out.count(message, outcome)
                continue
            if history.listed:
                self._hits.append(
                    (rank_in(history.listed, event.product_id), self._popular.get(event.product_id, 0))
                )
            if newest is None or message.timestamp_ms >= newest.timestamp_ms:
                newest = message
        if newest is not None:
            shard[subject] = history
        return newest

    def _session(self, message: AnyMessage) -> UserHistory | None:
        """A shopper's history as the log has it; one that is kept here need not be decoded for that."""
        data = message.record.value
        if data is None:
            return None
        own = self._shards.get(message.partition, {}).get(message.key)
        if own is not None:
            return own.snapshot(message.key)
        try:
            history = decode(INTERACTION_STATE.name, data)
        except ContractError:
            return None  # its owner cannot restore it either, and says so
        return history if isinstance(history, UserHistory) else None

    def _take_list(self, key: str, data: bytes | None) -> None:
        if key.startswith(_SIMILAR):
            self.for_you.tables.put_looks(key.removeprefix(_SIMILAR), data)
        else:
            listed = _shop_list(data)
            self.for_you.put_list(_SHOP_LISTS[key], listed)
            if _SHOP_LISTS[key] == Kind.POPULAR:
                items = [] if listed is None else listed.items
                self._popular = {item.product_id: rank for rank, item in enumerate(items, start=1)}

    def _find_outdated(self, partitions: Iterable[int], vanished: dict[str, Cause]) -> None:
        for partition in partitions:
            for subject, history in self._shards.get(partition, {}).items():
                if not vanished.keys().isdisjoint(history.listed):
                    cause = next(vanished[product_id] for product_id in history.listed if product_id in vanished)
                    self._outdated.setdefault(partition, {})[subject] = cause

    def _publish(self, touched: Mapping[tuple[int, str], Cause], out: Outbox) -> None:
        """Write the histories of some shoppers, each after the list if that changed."""
        histories = [(subject, self._shards[partition][subject]) for partition, subject in touched]
        lists = self.for_you.recommend_many(histories, self._settings.list_length)
        for (partition, _), cause, (subject, history), items in zip(
            touched, touched.values(), histories, lists, strict=True
        ):
            self._outdated.get(partition, {}).pop(subject, None)
            listed = tuple(item.product_id for item in items)
            if listed != history.listed:
                history.listed = listed
                history.revision += 1
                self._publish_list(subject, history.revision, items, cause, out)
            out.publish(history.snapshot(subject), partition=partition)

    def _publish_list(
        self, subject: str, revision: int, items: list[ListedProduct], cause: Cause, out: Outbox
    ) -> None:
        if items:
            at_ms, by, by_ms = cause.event_time_ms, cause.caused_by, cause.caused_at_ms
            out.publish(RecommendationUpdated(Kind.FOR_YOU, subject, revision, items, at_ms, by, by_ms))
        else:
            out.retract(RECOMMENDATION_UPDATED, f"{Kind.FOR_YOU}:{subject}")

    def _forget(self, request: AnyMessage, withdrawals: Withdrawals, out: Outbox) -> None:
        """Drop all that is known of a user, take back what they added for others, and withdraw the list."""
        partition, subject = request.partition, request.key
        self._forgetting.take(request, INTERACTION_STATE, out)
        history = self._shards.get(partition, {}).pop(subject, None)
        self._outdated.get(partition, {}).pop(subject, None)
        if history is not None:
            withdrawals.take_back(history, Unnamed(request.timestamp_ms))
            if history.listed:
                out.retract(RECOMMENDATION_UPDATED, f"{Kind.FOR_YOU}:{subject}")


def _shop_list(data: bytes | None) -> RecommendationUpdated | None:
    """A list of the whole shop; one that cannot be read counts as none, for its owner writes the dead letter."""
    try:
        listed = None if data is None else decode(RECOMMENDATION_UPDATED.name, data)
    except ContractError:
        return None
    return listed if isinstance(listed, RecommendationUpdated) else None
