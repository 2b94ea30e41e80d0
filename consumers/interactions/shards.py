"""The histories of the partitions that a process owns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from recsys.histories import History
from recsys.history_store import HistoryStore
from schemas.events import UserHistory


class Shards:
    """A store of histories for each partition; looking a shopper up makes none."""

    def __init__(self, make: Callable[[], HistoryStore]) -> None:
        self._make = make
        self._stores: dict[int, HistoryStore] = {}

    def __iter__(self) -> Iterator[int]:
        return iter(self._stores)

    def __getitem__(self, partition: int) -> HistoryStore:
        store = self._stores.get(partition)
        if store is None:
            store = self._stores[partition] = self._make()
        return store

    def state(self, partition: int, subject: str) -> UserHistory | None:
        """A shopper's history as it is now; None where it is not kept here."""
        return self._stores[partition].state(subject) if partition in self._stores else None

    def history(self, subject: str) -> History | None:
        """A shopper's history, whatever the partition; None where there is none here."""
        found = (store.get(subject) for store in self._stores.values())
        return next((history for history in found if history is not None), None)

    def restore(self, states: Mapping[int, Mapping[str, UserHistory]]) -> None:
        """Take histories back, by partition and subject."""
        for partition, own in states.items():
            self[partition].restore(own)

    def revoke(self, partitions: Iterable[int]) -> None:
        """Forget the histories of these partitions."""
        for partition in partitions:
            self._stores.pop(partition, None)

    def settle(self) -> None:
        """Pack histories that are not worked on."""
        for store in self._stores.values():
            store.settle()
