"""What a stage of the flow is: a small class without any Kafka in it.

A stage says what it reads (``spec``) and turns batches of messages into outputs. The runtime decodes, keeps
the order of commits, restores state, hands partitions over, writes dead letters and counts.

    class Echo(Stage):
        spec = StageSpec("echo", inputs=(PDP_VIEW,))

        def process(self, messages, out):
            for message in messages:
                out.publish(...)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from consumers.runtime.outbox import Outbox
from consumers.runtime.records import Message
from schemas.topics import Topic

AnyMessage = Message[Any]


@dataclass(frozen=True, slots=True)
class StageSpec:
    """What a stage reads and where its state is restored from.

    ``inputs`` are consumed by the stage's group, each event exactly once. ``tables`` are followed whole,
    by every process, from the beginning, outside the group. ``changelogs`` are read to their end before
    the first input of a newly assigned partition. A stage whose state spans all partitions is a
    ``sole_owner``: one process owns every partition and the others stand by; otherwise partition ``p`` of
    every input and changelog is one shard, owned together.
    """

    name: str
    inputs: tuple[Topic, ...]
    tables: tuple[Topic, ...] = ()
    changelogs: tuple[Topic, ...] = ()
    source_changelog: bool = False
    """True where the inputs themselves, up to the committed offset, are also part of the state."""
    sole_owner: bool = False
    gather_ms: int = 0
    """How long input may wait for more to share its transaction; for a stage that no shopper waits for."""
    gather_tables_ms: int = 0
    """The same for what is new on the tables."""
    undecoded: frozenset[str] = frozenset()
    """Names of tables that are handed over as bytes, for a stage that needs few of their records: the
    message's ``value`` is None, and ``record.value`` tells a tombstone from the rest."""


class Stage(ABC):
    """One stage; one object a process, with a shard of state for each partition that it owns.

    The runtime calls, in this order: ``restore`` for what changelogs hold, ``restored`` when a partition is
    complete, then ``process``, ``follow`` and ``poll`` for as long as it is owned, and ``revoke`` when it
    is lost or when a transaction did not commit (then ``restore`` again). All run on one thread.
    """

    spec: ClassVar[StageSpec]

    @abstractmethod
    def process(self, messages: Sequence[AnyMessage], out: Outbox) -> None:
        """Take a batch of input messages in the order of their partitions, and put what follows into ``out``.

        Feeding a batch must equal feeding its messages one by one. An event that cannot be used goes to
        ``out.refuse(message, error)``; an exception makes the runtime find the message that causes it.
        """

    def wants(self, topic: str, key: str) -> bool:
        """False for records of tables and changelogs that need not be decoded, such as other stages' lists."""
        return True

    def follow(self, messages: Sequence[AnyMessage], out: Outbox) -> None:
        """Take what is new on the tables; the first call after a start brings their whole content."""

    def poll(self, out: Outbox) -> None:
        """Take what finished in the background, such as downloads; called between batches."""

    def capacity(self) -> int | None:
        """How many more input messages can be taken now; None for no limit, 0 to be left alone."""
        return None

    def busy(self) -> bool:
        """True while background work is under way and ``poll`` should be called soon."""
        return False

    def restore(self, messages: Sequence[AnyMessage]) -> None:
        """Take records of a changelog back into the state; a tombstone deletes."""

    def restored(self, partitions: Sequence[int], out: Outbox) -> None:
        """Called once these partitions are complete; publish here what is out of date by now.

        Tables move on while a process is away, and what ``follow`` published in a transaction that did not commit
        is not asked for again: compare what the changelog says was published with the tables as they are.
        """

    def revoke(self, partitions: Sequence[int]) -> None:
        """Drop the state and the background work of these partitions; must take no longer than a moment."""

    def close(self) -> None:
        """Release threads and connections."""
