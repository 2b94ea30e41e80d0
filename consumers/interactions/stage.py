"""The stage: what shoppers do in, their for-you lists and what was visited together out.

One hop from an event to the shopper's own list: the history, the list and the co-visits of a batch are one
transaction. What the list follows from besides (other products' rows, looks, what is popular) comes from tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from consumers.experiments import Experiment
from consumers.forgetting import FORGOTTEN, Forgetting
from consumers.interactions.followed import FollowedTables
from consumers.interactions.joining import JOINED_CAUSE, GuestJoins, Join, received, sent
from consumers.interactions.learning import Learning
from consumers.interactions.lists import ForYouLists
from consumers.interactions.live_quality import LiveQuality
from consumers.interactions.newcomers import Shopper
from consumers.interactions.settings import InteractionSettings
from consumers.interactions.shards import Shards
from consumers.runtime.causes import Cause
from consumers.runtime.outbox import Outbox
from consumers.runtime.stage import AnyMessage, Stage, StageSpec
from recsys.contributions import Contributions
from recsys.for_you import ForYou
from recsys.forgetting import Unnamed
from recsys.histories import ADDED, DUPLICATE, History, history_event
from recsys.segments import kept_attributes
from schemas.events import (
    Action,
    CartAdd,
    Kind,
    PdpView,
    Purchase,
    SessionHistory,
    SessionJoined,
    UserHistory,
)
from schemas.topics import (
    BLEND_STATE,
    CART_ADD,
    INTERACTION_STATE,
    ITEM_FACTORS,
    ITEM_STATE,
    PDP_VIEW,
    PRODUCT_CREATED,
    PROFILE_FACTORS,
    PURCHASE,
    RECOMMENDATION_UPDATED,
    SESSION_HISTORY,
    SESSION_JOINED,
    USER_UPDATED,
)

_ACTIONS: dict[type[object], Action] = {
    PdpView: Action.VIEW,
    CartAdd: Action.CART_ADD,
    Purchase: Action.PURCHASE,
}


class InteractionsStage(Stage):
    """Keeps the histories of its partitions' shoppers and publishes the for-you lists that change.

    A shopper is a user, or a guest's session, whose history becomes the user's when they sign in; a user of whom
    only the profile is known has a list too. What was bought, and what is retired or out of stock, is in no list;
    when a product vanishes, the lists that hold it are made anew, a bounded number a round.
    """

    spec = StageSpec(
        "interactions",
        inputs=(PDP_VIEW, CART_ADD, PURCHASE, USER_UPDATED, SESSION_JOINED, SESSION_HISTORY),
        tables=(
            PRODUCT_CREATED,
            ITEM_STATE,
            ITEM_FACTORS,
            PROFILE_FACTORS,
            INTERACTION_STATE,
            BLEND_STATE,
            RECOMMENDATION_UPDATED,
        ),
        changelogs=(INTERACTION_STATE, BLEND_STATE),
        gather_tables_ms=100,
        undecoded=frozenset({ITEM_STATE.name, INTERACTION_STATE.name, RECOMMENDATION_UPDATED.name}),
    )

    def __init__(
        self, settings: InteractionSettings | None = None, *, experiments: Sequence[Experiment] = ()
    ) -> None:
        settings = settings or InteractionSettings()
        self._history_rules = settings.history_rules()
        self._pair_rules, self._quarantine_rules = settings.pair_rules(), settings.quarantine.rules()
        trials = [experiment.trial() for experiment in experiments if experiment.has_blends]
        self.for_you = ForYou(
            settings.query_rules(), settings.scoring_rules(), settings.blend.model_dump(), trials
        )
        self._shards = Shards(self.for_you.new_histories)
        self._lists = ForYouLists(self.for_you, self._shards, settings)
        self._forgetting = Forgetting()
        self._joins = GuestJoins()
        self._quality = LiveQuality(self.for_you.has_segment)
        self._learning = Learning(self.for_you, settings.learning)
        self._tables = FollowedTables(self.for_you, self._quality, settings.segment_attribute, self._shards.state)

    def wants(self, topic: str, key: str) -> bool:
        """Of recommendation-updated, only lists that for-you lists follow from."""
        return topic != RECOMMENDATION_UPDATED.name or self._tables.wants(key)

    def process(self, messages: Sequence[AnyMessage], out: Outbox) -> None:
        """Take what shoppers did; each shopper touched is written to the changelog, and listed, once."""
        learnt = Contributions(self._pair_rules, self._history_rules, self._quarantine_rules)
        of_shoppers: dict[Shopper, list[AnyMessage]] = {}
        for message in messages:
            of_shoppers.setdefault((message.partition, message.key), []).append(message)
        touched: dict[Shopper, Cause] = {}
        self._quality.begin()
        self._learning.begin()
        # Shopper by shopper, for then a history is at hand from the first event to the list.
        for (partition, subject), own in of_shoppers.items():
            newest = self._take_all(partition, subject, own, learnt, out)
            if newest is not None:
                touched[partition, subject] = Cause.of(newest)
        self._learning.learn(out)
        self._lists.publish(touched, out)
        self._lists.publish_turn(len(messages), out)
        for added in learnt.messages():
            out.publish(added)
        for change, amount in learnt.quarantines.items():
            out.observe("quarantines", change, amount=amount)
        self._quality.report(out)
        self._shards.settle()

    def follow(self, messages: Sequence[AnyMessage], out: Outbox) -> None:
        """Take the tables as they are now; lists that hold what vanished are made anew in ``poll``."""
        before = self._tables.lists_cause
        vanished = self._tables.take(messages)
        if vanished:
            self._lists.outdate(self._shards, vanished)
        if self._tables.lists_cause is not before:
            self._lists.outdate_newcomers(self._tables.lists_cause)
        self.poll(out)

    def poll(self, out: Outbox) -> None:
        """Make some of the lists anew that hold a product that vanished, and some of newcomers."""
        self._lists.publish_some(out)
        self._shards.settle()

    def busy(self) -> bool:
        """True while lists wait to be made anew."""
        return self._lists.are_due

    def restore(self, messages: Sequence[AnyMessage]) -> None:
        """Take histories back, and what was learnt of scorers."""
        states: dict[int, dict[str, UserHistory]] = {}
        for message in messages:
            if message.topic == BLEND_STATE.name:
                self.for_you.weights.restore(message.value)
                continue
            own, shopper = states.setdefault(message.partition, {}), (message.partition, message.key)
            if message.value is None:
                own.pop(message.key, None)
                self._shards[message.partition].pop(message.key)
                self._forgetting.restore(message)
                self._joins.restore(message)
                self._lists.drop(shopper)
            else:
                own[message.key] = message.value
                self._lists.restore(shopper, message.value)
        self._shards.restore(states)

    def restored(self, partitions: Sequence[int], out: Outbox) -> None:
        """Products may have vanished meanwhile, and what is popular changed."""
        self._lists.outdate_newcomers(self._tables.lists_cause)
        for partition in partitions:
            gone = {
                product_id: self._tables.catalogue_cause
                for product_id in self._shards[partition].listed()
                if not self.for_you.is_recommendable(product_id)
            }
            if gone:
                self._lists.outdate([partition], gone)

    def revoke(self, partitions: Sequence[int]) -> None:
        """Forget the histories of these partitions."""
        self._lists.revoke(partitions)
        self._shards.revoke(partitions)
        for partition in partitions:
            self.for_you.weights.revoke(partition)

    def history(self, subject: str) -> History | None:
        """A shopper's history, None where there is none here."""
        return self._shards.history(subject)

    def _take_all(
        self, partition: int, subject: str, messages: Sequence[AnyMessage], learnt: Contributions, out: Outbox
    ) -> AnyMessage | None:
        """Take all messages of a shopper; the newest that there is something to be published for, None without."""
        newest: AnyMessage | None = None
        for is_event, group in groupby(messages, lambda message: type(message.value) in _ACTIONS):
            if is_event:
                newest = self._take(partition, subject, list(group), learnt, out) or newest
                continue
            for message in group:
                if message.value is None:
                    self._forget(message, learnt, out)
                    newest = None
                elif isinstance(message.value, SessionJoined):
                    self._send(partition, subject, self._joins.take(message), learnt, out)
                    newest = None
                elif isinstance(message.value, SessionHistory):
                    newest = self._receive(message, learnt, out) or newest
                else:
                    newest = self._take_profile(message, learnt) or newest
        late = self._joins.late(subject, newest)
        if late is not None:
            self._send(partition, subject, late, learnt, out)
            return None
        return newest

    def _take(
        self, partition: int, subject: str, messages: Sequence[AnyMessage], learnt: Contributions, out: Outbox
    ) -> AnyMessage | None:
        """Add a shopper's events to the history; the newest that changed it, None where none did."""
        messages = self._forgetting.since(subject, messages, out)
        if not messages:
            return None
        shard = self._shards[partition]
        history = shard.get(subject)
        if history is None:
            history = History()
        shared_id = self.for_you.shared_id
        events = [history_event(message.value, _ACTIONS[type(message.value)], shared_id) for message in messages]
        newest: AnyMessage | None = None
        added = []
        segment = self.for_you.segment_of(history)
        outcomes = learnt.add(history, events, messages, segment)
        for message, event, outcome in zip(messages, events, outcomes, strict=True):
            if outcome != ADDED:
                out.count(message, outcome)
                continue
            added.append(event)
            if newest is None or message.timestamp_ms >= newest.timestamp_ms:
                newest = message
        if newest is not None:
            shard[subject] = history
            self._lists.acted((partition, subject))
            if not history.is_quarantined:
                self._learning.see(partition, subject, history, added)
            if history.listed and not history.is_quarantined:
                self._quality.see(segment, history.listed, [event.product_id for event in added])
        return newest

    def _send(self, partition: int, session_id: str, join: Join, learnt: Contributions, out: Outbox) -> None:
        """Send what a guest did to the user that they signed in as; nothing of it stays here."""
        out.retract(INTERACTION_STATE, session_id, partition=partition, headers=join.headers)
        history = self._drop(partition, session_id, Unnamed(join.joined_at_ms, JOINED_CAUSE), learnt, out)
        if history is not None and len(history):
            out.publish(sent(history, session_id, join))

    def _receive(self, message: AnyMessage, learnt: Contributions, out: Outbox) -> AnyMessage | None:
        """Add what a guest did to the user's history; the message where that changed anything."""
        guest: SessionHistory = message.value
        if guest.joined_at_ms < self._forgetting.asked_ms(message.key):
            out.count(message, FORGOTTEN)
            return None
        shard = self._shards[message.partition]
        history = shard.get(message.key)
        if history is None:
            history = History()
        events = received(guest, self.for_you.shared_id)
        causes = [Unnamed(message.timestamp_ms, JOINED_CAUSE)] * len(events)
        if ADDED not in learnt.add(history, events, causes, self.for_you.segment_of(history)):
            out.count(message, DUPLICATE)
            return None
        shard[message.key] = history
        self._lists.acted((message.partition, message.key))
        return message

    def _take_profile(self, message: AnyMessage, learnt: Contributions) -> AnyMessage | None:
        """Take what is known of a user, whose visits go along to another segment; None where nothing is new."""
        attributes = kept_attributes(message.value.attributes)
        shard = self._shards[message.partition]
        history = shard.get(message.key)
        if attributes == ({} if history is None else history.attributes):
            return None
        if history is None:
            history = shard[message.key] = History()
        before, history.attributes = self.for_you.segment_of(history), attributes
        segment = self.for_you.segment_of(history)
        if segment != before:
            learnt.move(history, Unnamed(message.timestamp_ms), before, segment)
        return message

    def _forget(self, request: AnyMessage, learnt: Contributions, out: Outbox) -> None:
        """Drop all that is known of a user, take back what they added for others, and withdraw the list."""
        partition, subject = request.partition, request.key
        self._forgetting.take(request, INTERACTION_STATE, out)
        self._drop(partition, subject, Unnamed(request.timestamp_ms), learnt, out)

    def _drop(
        self, partition: int, subject: str, cause: Unnamed, learnt: Contributions, out: Outbox
    ) -> History | None:
        """Take a history out, with what it added for others and the list; None where there is none."""
        history = self._shards[partition].pop(subject)
        self._lists.drop((partition, subject))
        if history is not None:
            learnt.take_back(history, cause, self.for_you.segment_of(history))
            if history.listed:
                out.retract(RECOMMENDATION_UPDATED, f"{Kind.FOR_YOU}:{subject}")
        return history
