"""Which partition a key goes to: the same as in every Kafka client, so that stages and shops agree."""

from __future__ import annotations

from functools import lru_cache

from kafka.partitioner import murmur2


@lru_cache(maxsize=200_000)
def _positive_hash(key: bytes) -> int:
    """Kept, for murmur2 is slow in Python and keys come again."""
    return int(murmur2(key)) & 0x7FFFFFFF


def key_partition(key: bytes, partitions: int) -> int:
    """The partition of a key by Kafka's default partitioner: positive murmur2 modulo the number of partitions."""
    return _positive_hash(key) % partitions
