"""One table in Redis for several processes: what is kept under which key, and how an entry reads.

A value is a header and then the message's bytes as Kafka has them, nothing after the header for a withdrawn one.
The header says where on the topic the message stood, so that a process which reads the topic anew never puts an
older message over a newer one.
"""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """One message of a compacted topic."""

    offset: int
    partition: int
    published_at_ms: int
    value: bytes
    """The message's bytes; empty for one that was withdrawn."""

    def written(self) -> bytes:
        """As Redis keeps it. The digits are of one width, so that offsets compare as text."""
        return b"%020d%06d%016d%b" % (self.offset, self.partition, self.published_at_ms, self.value)


def read_entry(written: bytes) -> Entry:
    """What ``Entry.written`` made."""
    return Entry(int(written[:20]), int(written[20:26]), int(written[26:42]), written[42:])


class SharedKeys:
    """Names of the keys in Redis; shops with different topic prefixes share one server.

    The braces keep all of them on one node of a cluster.
    """

    def __init__(self, topic_prefix: str) -> None:
        self._start = f"recsys:{{{topic_prefix}}}:"
        self.lease = self._start + "lease"
        """Token of the process that writes; gone when it is silent."""
        self.epoch = self._start + "epoch"
        """Grows with each process that begins to write; a write of an earlier one is refused."""
        self.identity = self._start + "identity"
        """Which incarnation of the topics the table is of."""
        self.as_of = self._start + "as-of-ms"
        """When everything that Kafka had was in; not there before it was for the first time."""
        self.changes = self._start + "changes"
        """A stream of the keys of lists, and of the products themselves, as they change."""
        self.categories = self._start + "categories"
        """Every category that had a product in stock; its shelf says whether it has one now."""
        self.everything = self._start + "*"
        """Pattern of all keys of the table."""
        self._visits = f"recsys-visits:{{{topic_prefix}}}:"
        """Visits are no part of the table, and stay when it is written anew."""
        self.visits = self._visits + "index"
        """The shoppers whose visits are kept, by when they changed."""

    def list_key(self, key: str) -> str:
        """Of a list, by ``kind:subject``."""
        return f"{self._start}list:{key}"

    def visit_key(self, shopper: str) -> str:
        """Of a shopper's visit."""
        return f"{self._visits}of:{shopper}"

    def product_key(self, product_id: str) -> str:
        """Of a product."""
        return f"{self._start}product:{product_id}"

    def shelf_key(self, category: str | None) -> str:
        """Of the products in stock of a category, or of all, by when they came in."""
        return self._start + ("shelf" if category is None else f"shelf:{category}")
