"""For-you lists as they are published: those of who did something, those that hold what vanished, newcomers'."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice

from consumers.interactions.newcomers import Newcomers, Shopper
from consumers.interactions.settings import InteractionSettings
from consumers.interactions.shards import Shards
from consumers.runtime.causes import NO_CAUSE, Cause
from consumers.runtime.outbox import Outbox
from recsys.for_you import ForYou
from recsys.histories import History
from schemas.events import Kind, ListedProduct, RecommendationUpdated, UserHistory
from schemas.topics import RECOMMENDATION_UPDATED

_EVENTS_A_NEWCOMER = 50
"""Events of others in a batch for each newcomer, beyond the first, whose list is made anew."""


class ForYouLists:
    """Makes lists, and publishes those that changed, each with the history that names what is listed."""

    def __init__(self, for_you: ForYou, shards: Shards, settings: InteractionSettings) -> None:
        self._for_you = for_you
        self._shards = shards
        self._settings = settings
        self._outdated: dict[int, dict[str, Cause]] = {}
        self._newcomers = Newcomers()
        self._shops_cause = NO_CAUSE

    def publish(self, touched: Mapping[Shopper, Cause], out: Outbox, *, only_changed: bool = False) -> None:
        """Write the histories of some shoppers, each after the list if that changed, or only then."""
        histories = [(subject, self._shards[partition][subject]) for partition, subject in touched]
        lists = self._for_you.recommend_many(histories, self._settings.list_length)
        for (partition, _), cause, (subject, history), items in zip(
            touched, touched.values(), histories, lists, strict=True
        ):
            self._outdated.get(partition, {}).pop(subject, None)
            if history.attributes and not len(history):
                self._newcomers.put((partition, subject), has_list=bool(items))
            listed = tuple(item.product_id for item in items)
            if listed != history.listed:
                history.listed = listed
                history.revision += 1
                _publish_list(subject, history, items, cause, out)
            elif only_changed:
                continue
            out.publish(history.snapshot(subject), partition=partition)

    def publish_some(self, out: Outbox) -> None:
        """Publish a bounded number of the lists that hold what vanished, and of newcomers who are due."""
        waiting = (
            ((partition, subject), cause)
            for partition, outdated in self._outdated.items()
            for subject, cause in outdated.items()
        )
        self.publish(dict(islice(waiting, self._settings.max_relisted)), out)
        self._publish_newcomers(self._newcomers.take_due(self._settings.max_newcomers), out)

    def publish_turn(self, events: int, out: Outbox) -> None:
        """Publish lists of newcomers whose turn it is, after so many events of others."""
        turn = min(self._settings.max_newcomers, 1 + events // _EVENTS_A_NEWCOMER)
        self._publish_newcomers(self._newcomers.take_turn(turn), out)

    @property
    def are_due(self) -> bool:
        """True while lists wait to be made anew."""
        return self._newcomers.are_due or any(self._outdated.values())

    def outdate(self, partitions: Iterable[int], vanished: Mapping[str, Cause]) -> None:
        """Have the lists made anew that hold a product that vanished."""
        for partition in partitions:
            for subject, product_id in self._shards[partition].listing(vanished):
                self._outdated.setdefault(partition, {})[subject] = vanished[product_id]

    def outdate_newcomers(self, cause: Cause) -> None:
        """A list of the shop or of a segment changed, which newcomers' lists follow from."""
        self._shops_cause = cause
        self._newcomers.outdate()

    def restore(self, shopper: Shopper, history: UserHistory) -> None:
        """Have a shopper among the newcomers, or not, as the changelog says."""
        if history.attributes and not history.product_ids:
            self._newcomers.put(shopper, has_list=bool(history.listed))
        else:
            self._newcomers.discard(shopper)

    def acted(self, shopper: Shopper) -> None:
        """They are known by what they do now."""
        self._newcomers.discard(shopper)

    def drop(self, shopper: Shopper) -> None:
        """They are no more."""
        partition, subject = shopper
        self._outdated.get(partition, {}).pop(subject, None)
        self._newcomers.discard(shopper)

    def revoke(self, partitions: Collection[int]) -> None:
        """Forget the shoppers of these partitions."""
        self._newcomers.revoke(partitions)
        for partition in partitions:
            self._outdated.pop(partition, None)

    def _publish_newcomers(self, newcomers: Sequence[Shopper], out: Outbox) -> None:
        self.publish(dict.fromkeys(newcomers, self._shops_cause), out, only_changed=True)


def _publish_list(
    subject: str, history: History, items: Sequence[ListedProduct], cause: Cause, out: Outbox
) -> None:
    if items:
        at_ms, by, by_ms = cause.event_time_ms, cause.caused_by, cause.caused_at_ms
        out.publish(RecommendationUpdated(Kind.FOR_YOU, subject, history.revision, items, at_ms, by, by_ms))
    else:
        out.retract(RECOMMENDATION_UPDATED, f"{Kind.FOR_YOU}:{subject}")
