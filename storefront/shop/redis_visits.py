"""Visits that several processes share in Redis, so that a cart is the same whichever of them is asked.

Each visit is one value, replaced where it is still what the change was made from, and gone some weeks after its
last change. An index by time of the last change bounds how many there are.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import orjson

from storefront.errors import TablesUnavailableError
from storefront.redis_tables import answered, connected
from storefront.shared_table import SharedKeys
from storefront.shop.shoppers import REMEMBERED_SECONDS
from storefront.shop.visits import Visit

_ATTEMPTS = 20

_REPLACE = """
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return false end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[5])
local over = redis.call('ZCARD', KEYS[2]) - ARGV[6]
if over <= 0 then return {} end
local gone = {}
for i, member in ipairs(redis.call('ZPOPMIN', KEYS[2], over)) do
  if i % 2 == 1 then gone[#gone + 1] = member end
end
return gone
"""
"""KEYS: visit, index; ARGV: the visit before and after, seconds to live, now, shopper, most shoppers.

Returns who is forgotten for it, or false where the visit is another one by now."""


class RedisVisits:
    """The visits of the shoppers who changed theirs last, at most ``max_shoppers``."""

    def __init__(self, url: str, topic_prefix: str, max_shoppers: int) -> None:
        self._redis: Any = connected(url)
        self._replace = self._redis.register_script(_REPLACE)
        self._keys = SharedKeys(topic_prefix)
        self._max_shoppers = max_shoppers

    async def start(self) -> None:
        """Nothing has to be begun."""

    async def close(self) -> None:
        """Let go of the connections."""
        await self._redis.aclose(close_connection_pool=True)

    async def get(self, shopper: str) -> Visit:
        """See ``Visits``."""
        return _read(await answered(self._redis.get(self._keys.visit_key(shopper))))

    async def change(self, shopper: str, change: Callable[[Visit], None]) -> None:
        """See ``Visits``."""
        key = self._keys.visit_key(shopper)
        for _ in range(_ATTEMPTS):
            before = await answered(self._redis.get(key))
            visit = _read(before)
            change(visit)
            arguments = [before or b"", orjson.dumps(asdict(visit)), REMEMBERED_SECONDS]
            arguments += [time.time(), shopper, self._max_shoppers]
            forgotten = await answered(self._replace([key, self._keys.visits], arguments))
            if forgotten is not None:
                await self._forget(forgotten)
                return
        raise TablesUnavailableError(
            "the cart is being changed by too many requests at once; try again in a moment"
        )

    async def _forget(self, shoppers: list[bytes]) -> None:
        if shoppers:
            keys = [self._keys.visit_key(shopper.decode()) for shopper in shoppers]
            await answered(self._redis.delete(*keys))


def _read(written: bytes | None) -> Visit:
    return Visit() if written is None else Visit(**orjson.loads(written))
