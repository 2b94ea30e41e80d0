"""The table that several processes share, written by one of them at a time.

Who writes holds a lease. A process that was silent for too long and does not know that another has taken over has
an older epoch than Redis, which refuses what it writes. And an entry is written only where it stood further on in
its partition than the one that is there, so a new writer that reads from the beginning takes nobody back in time.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry

from consumers.runtime.records import Record
from schemas.topics import PRODUCT_CREATED, RECOMMENDATION_UPDATED
from storefront.errors import NotLeadingError, TablesUnavailableError
from storefront.products import ProductTable, shelf_of
from storefront.shared_table import Entry, SharedKeys
from storefront.tables import product_key

LEASE_MS = 5_000
_RENEW_SECONDS = 1.0
_TIMEOUT_SECONDS = 2.0
_AT_ONCE = 500
_KEPT_CHANGES = 20_000

_RENEW = """
local there = redis.call('GET', KEYS[1])
if there and there ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
"""Also takes up a lease that ran out and that nobody else has had: then nobody else has written either."""

_FENCE = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return redis.error_reply('FENCED another writes') end\n"

_WRITE = (
    _FENCE
    + """
local written = 0
for i = 1, (#ARGV - 2) / 2 do
  local key, value, name = KEYS[2 + i], ARGV[2 * i], ARGV[2 * i + 1]
  local there = redis.call('GETRANGE', key, 0, 25)
  if there == '' or string.sub(there, 21, 26) ~= string.sub(value, 21, 26)
     or string.sub(there, 1, 20) < string.sub(value, 1, 20) then
    redis.call('SET', key, value)
    if name ~= '' then redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[#ARGV], '*', 'key', name) end
    written = written + 1
  end
end
return written
"""
)
"""KEYS: epoch, changes, entries; ARGV: epoch, value and name of each (empty: no news), changes that are kept."""

_SHELVE = (
    _FENCE
    + """
for i = 2, #ARGV, 3 do
  local key = KEYS[2 + (i - 2) / 3]
  if ARGV[i] == '+' then redis.call('ZADD', key, ARGV[i + 1], ARGV[i + 2])
  else redis.call('ZREM', key, ARGV[i + 2]) end
end
return 1
"""
)
"""KEYS: epoch, shelf of each step; ARGV: epoch, then + or -, when it came in, and product_id of each step."""

_SET = _FENCE + "redis.call('SET', KEYS[2], ARGV[2])\nreturn 1"
_DELETE = _FENCE + "for i = 2, #KEYS do redis.call('DEL', KEYS[i]) end\nreturn 1"


class RedisWriter:
    """Writes what it is handed, while it leads. For one thread."""

    def __init__(self, url: str, topic_prefix: str) -> None:
        # A write that may have been carried out is not simply sent again: the lease may be lost meanwhile.
        options: dict[str, Any] = {"socket_timeout": _TIMEOUT_SECONDS, "socket_connect_timeout": _TIMEOUT_SECONDS}
        self._redis: Any = Redis.from_url(url, retry=Retry(NoBackoff(), 0), **options)
        self._keys = SharedKeys(topic_prefix)
        self._token = secrets.token_hex(16)
        self._epoch = ""
        self._renewed_at = 0.0
        self._products = ProductTable()
        self._seen: set[str] | None = None
        """Keys met while reading from the beginning, None once that is done."""

    def lead(self) -> bool:
        """Try to become the one that writes; True when this process is."""
        try:
            if not self._redis.set(self._keys.lease, self._token, nx=True, px=LEASE_MS):
                return False
            self._epoch = str(self._redis.incr(self._keys.epoch))
        except (RedisError, OSError) as error:
            raise _unavailable(error) from error
        self._renewed_at = time.monotonic()
        return True

    def begin(self, identity: str) -> None:
        """Begin to write the table of these topics; one of topics that are gone is cleared away."""
        self._products, self._seen = ProductTable(), set()
        before = self._called(lambda: self._redis.get(self._keys.identity))
        if before is not None and before != identity.encode():
            self._delete(key for key in self._scan() if not self._is_own(key))
        self._run(_SET, [self._keys.identity], [identity])

    def take(self, records: Sequence[Record]) -> None:
        """Write records of product-created and recommendation-updated.

        Raises ``NotLeadingError`` when another process writes by now, ``TablesUnavailableError``.
        """
        self._renew()
        entries = [entry for record in records if (entry := self._entry(record)) is not None]
        for at in range(0, len(entries), _AT_ONCE):
            part = entries[at : at + _AT_ONCE]
            arguments = [of for _, value, name in part for of in (value, name)]
            keys = [self._keys.changes, *(key for key, _, _ in part)]
            self._run(_WRITE, keys, [*arguments, _KEPT_CHANGES])
        self._shelve(records)

    def current(self, now_ms: int) -> None:
        """Everything that Kafka had at this time is in; the first time, what is no longer on the topics goes."""
        if self._seen is not None:
            self._sweep(self._seen)
            self._seen = None
        self._run(_SET, [self._keys.as_of], [str(now_ms)])

    def resign(self) -> None:
        """Let another process write at once."""
        try:
            if self._redis.get(self._keys.lease) == self._token.encode():
                self._redis.delete(self._keys.lease)
        except (RedisError, OSError):
            return  # the lease runs out by itself

    def close(self) -> None:
        """Resign, and let go of the connection."""
        self.resign()
        self._redis.close()

    def _entry(self, record: Record) -> tuple[str, bytes, str] | None:
        """Key, value, and by what name streams are told of it."""
        if record.key is None:
            return None
        name = record.key.decode(errors="replace")
        entry = Entry(record.offset, record.partition, max(record.timestamp_ms, 0), record.value or b"")
        if record.topic == RECOMMENDATION_UPDATED.name:
            key, told = self._keys.list_key(name), name
        elif record.topic == PRODUCT_CREATED.name:
            key, told = self._keys.product_key(name), product_key(name)
        else:
            return None
        if self._seen is not None:
            self._seen.add(key)
        return key, entry.written(), told

    def _shelve(self, records: Sequence[Record]) -> None:
        """Put products onto the shelves of their categories, and take them off."""
        keys: list[str] = []
        steps: list[str] = []
        for change in self._products.apply(records):
            was, now = shelf_of(change.before), shelf_of(change.after)
            if was == now:
                continue
            at = "0" if change.after is None else str(change.after.event_time_ms)
            for sign, shelf in (("-", was), ("+", now)):
                if shelf is not None:
                    keys += [self._keys.shelf_key(shelf), self._keys.shelf_key(None)]
                    steps += [sign, at, change.product_id] * 2
            if now is not None:
                keys.append(self._keys.categories)
                steps += ["+", at, now]
        for start in range(0, len(keys), _AT_ONCE):
            self._run(_SHELVE, keys[start : start + _AT_ONCE], steps[3 * start : 3 * (start + _AT_ONCE)])

    def _sweep(self, seen: set[str]) -> None:
        """Delete what is not on the topics any more; shelves are put up anew from the products that are."""
        lists, products = self._keys.list_key(""), self._keys.product_key("")
        shelves = self._keys.shelf_key(None)
        gone = []
        for key in self._scan():
            if key.startswith((lists, products)):
                if key not in seen:
                    gone.append(key)
            elif key.startswith(shelves):
                gone += self._emptied(key)
        self._delete(iter(gone))

    def _emptied(self, shelf_key: str) -> list[str]:
        """The shelf's key where nothing on it is for sale; else what is not is taken off."""
        is_whole = shelf_key == self._keys.shelf_key(None)
        category = None if is_whole else shelf_key.removeprefix(self._keys.shelf_key(""))
        on_it = [p.decode(errors="replace") for p in self._called(lambda: self._redis.zrange(shelf_key, 0, -1))]
        shelves = {product_id: shelf_of(self._products.get(product_id)) for product_id in on_it}
        stay = {p for p, shelf in shelves.items() if shelf is not None and (is_whole or shelf == category)}
        if not stay:
            return [shelf_key]
        off = [p for p in on_it if p not in stay]
        for start in range(0, len(off), _AT_ONCE):
            part = off[start : start + _AT_ONCE]
            self._run(_SHELVE, [shelf_key] * len(part), [of for p in part for of in ("-", "0", p)])
        return []

    def _scan(self) -> list[str]:
        pattern = self._keys.everything
        found = self._called(lambda: list(self._redis.scan_iter(pattern, 1_000)))
        return [key.decode(errors="replace") for key in found]

    def _is_own(self, key: str) -> bool:
        return key in (self._keys.lease, self._keys.epoch)

    def _delete(self, keys: Iterator[str]) -> None:
        listed = list(keys)
        for start in range(0, len(listed), _AT_ONCE):
            self._run(_DELETE, listed[start : start + _AT_ONCE], [])

    def _renew(self) -> None:
        if time.monotonic() - self._renewed_at < _RENEW_SECONDS:
            return
        if not self._called(lambda: self._redis.eval(_RENEW, 1, self._keys.lease, self._token, LEASE_MS)):
            raise NotLeadingError("another process writes the shared table by now")
        self._renewed_at = time.monotonic()

    def _run(self, script: str, keys: Sequence[str], arguments: Sequence[Any]) -> None:
        """A script behind the fence: its first key and argument are the epoch."""
        self._called(
            lambda: self._redis.eval(script, 1 + len(keys), self._keys.epoch, *keys, self._epoch, *arguments)
        )

    def _called(self, call: Any) -> Any:
        try:
            return call()
        except ResponseError as error:
            if "FENCED" in str(error):
                raise NotLeadingError("another process writes the shared table by now") from error
            raise _unavailable(error) from error
        except (RedisError, OSError) as error:
            raise _unavailable(error) from error


def _unavailable(error: Exception) -> TablesUnavailableError:
    return TablesUnavailableError(f"the shared table cannot be written: {type(error).__name__} {error}")
