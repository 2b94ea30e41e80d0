"""The table that several processes share, read: every answer is what Redis has at that moment.

So two processes give the same answers, and neither gives an older one than the other gave before.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import RedisError

from schemas.codec import decoder
from schemas.errors import ContractError
from schemas.events import ProductCreated, RecommendationUpdated
from schemas.topics import PRODUCT_CREATED, RECOMMENDATION_UPDATED
from storefront.api.stream import StreamHub
from storefront.errors import TablesUnavailableError
from storefront.lists import Listed
from storefront.shared_table import SharedKeys, read_entry
from storefront.tables import Freshness

_CONNECTIONS = 32
_TIMEOUT_SECONDS = 1.0
_WATCH_MS = 250
_RETRY_SECONDS = 0.5
_DECODED = 50_000
_MAX_CHANGES = 1_000

T = TypeVar("T")

_log = logging.getLogger(__name__)


class _Decoded(Generic[T]):
    """Decoded values of keys, as long as their bytes stay the same; the longest unused is forgotten."""

    def __init__(self, decode: Callable[[bytes], T | None]) -> None:
        self._decode = decode
        self._kept: OrderedDict[str, tuple[bytes, T | None]] = OrderedDict()

    def get(self, key: str, written: bytes | None) -> T | None:
        """The value in these bytes; None where there is none, or one that cannot be read."""
        if written is None:
            return None
        kept = self._kept.get(key)
        if kept is None or kept[0] != written:
            kept = (written, self._decode(written))
            self._kept[key] = kept
            if len(self._kept) > _DECODED:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return kept[1]


class RedisTables:
    """Reads the shared table; ``start`` begins to watch it for the streams of this process."""

    def __init__(self, url: str, topic_prefix: str, hub: StreamHub, stale_after_seconds: float) -> None:
        self._redis: Any = connected(url)
        self._keys, self._hub = SharedKeys(topic_prefix), hub
        self._stale_after_ms = 1_000 * stale_after_seconds
        self._lists = _Decoded(_listed)
        self._products = _Decoded(_product)
        self._as_of_ms = 0
        self._closing = False
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to watch."""
        self._watching = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """Stop watching, and let go of the connections."""
        self._closing = True  # a cancellation can be lost where it meets a time-out of redis-py
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait({self._watching}, timeout=2 * _TIMEOUT_SECONDS)
        await self._redis.aclose(close_connection_pool=True)

    async def lists(self, keys: Sequence[str]) -> Sequence[Listed | None]:
        """See ``Tables``."""
        if not keys:
            return []
        written = await answered(self._redis.mget([self._keys.list_key(key) for key in keys]))
        return [self._lists.get(key, found) for key, found in zip(keys, written, strict=True)]

    async def products(self, product_ids: Iterable[str]) -> Mapping[str, ProductCreated]:
        """See ``Tables``."""
        ids = list(dict.fromkeys(product_ids))
        if not ids:
            return {}
        written = await answered(self._redis.mget([self._keys.product_key(product_id) for product_id in ids]))
        found = ((p, self._products.get(p, value)) for p, value in zip(ids, written, strict=True))
        return {product_id: product for product_id, product in found if product is not None}

    async def newest(self, category: str | None, count: int) -> Sequence[str]:
        """See ``Tables``."""
        if count <= 0:
            return []
        found = await answered(self._redis.zrevrange(self._keys.shelf_key(category), 0, count - 1))
        return [product_id.decode(errors="replace") for product_id in found]

    async def categories(self) -> Sequence[str]:
        """See ``Tables``."""
        found = await answered(self._redis.zrange(self._keys.categories, 0, -1))
        names = [name.decode(errors="replace") for name in found]
        async with self._redis.pipeline(transaction=False) as asked:
            for name in names:
                asked.zcard(self._keys.shelf_key(name))
            sizes = await answered(asked.execute())
        return [name for name, size in zip(names, sizes, strict=True) if size]

    async def freshness(self) -> Freshness:
        """As of the last look at the table, a quarter of a second ago at most."""
        age_ms = time.time_ns() // 1_000_000 - self._as_of_ms
        return Freshness(self._as_of_ms > 0, self._as_of_ms, age_ms > self._stale_after_ms)

    async def _watch(self) -> None:
        last = "$"
        while not self._closing:
            try:
                self._as_of_ms = int(await self._redis.get(self._keys.as_of) or 0)
                last = await self._changes(last)
            except (RedisError, OSError) as error:
                _log.warning("the shared table does not answer: %s", type(error).__name__)
                await asyncio.sleep(_RETRY_SECONDS)
            except TablesUnavailableError:
                await asyncio.sleep(_RETRY_SECONDS)

    async def _changes(self, last: str) -> str:
        """Hand on what changed after ``last``; returns the id to go on from."""
        if last == "$":
            newest = await self._redis.xrevrange(self._keys.changes, count=1)
            return newest[0][0].decode() if newest else "0-0"
        found = await self._redis.xread({self._keys.changes: last}, count=_MAX_CHANGES, block=_WATCH_MS)
        if not found:
            return last
        entries = found[0][1] if isinstance(found, list) else next(iter(found.values()))[0]
        names = dict.fromkeys(fields[b"key"].decode(errors="replace") for _, fields in entries)
        followed = [name for name in names if self._hub.follows(name)]
        self._hub.publish(list(zip(followed, await self.lists(followed), strict=True)))
        return str(entries[-1][0].decode())


def connected(url: str) -> Any:
    """A client with a pool of connections, each of which waits for a bounded time."""
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=_CONNECTIONS,
        timeout=_TIMEOUT_SECONDS,
        socket_timeout=_TIMEOUT_SECONDS,
        socket_connect_timeout=_TIMEOUT_SECONDS,
    )
    return Redis(connection_pool=pool)


async def answered(asked: Awaitable[Any]) -> Any:
    """What Redis says; raises ``TablesUnavailableError`` where it says nothing."""
    try:
        return await asked
    except (RedisError, OSError) as error:
        raise TablesUnavailableError(
            f"the table that the servers share does not answer ({type(error).__name__}); try again in a moment"
        ) from error


_decode_list = decoder(RECOMMENDATION_UPDATED.name)
_decode_product = decoder(PRODUCT_CREATED.name)


def _listed(written: bytes) -> Listed | None:
    entry = read_entry(written)
    try:
        found = _decode_list(entry.value) if entry.value else None
    except ContractError:
        return None
    return Listed(found, entry.published_at_ms) if isinstance(found, RecommendationUpdated) else None


def _product(written: bytes) -> ProductCreated | None:
    entry = read_entry(written)
    try:
        found = _decode_product(entry.value) if entry.value else None
    except ContractError:
        return None
    return found if isinstance(found, ProductCreated) else None
