"""Events on their way to Kafka: bounded, each acknowledged or not, written once however often it is sent.

The event loop hands in and a thread of its own writes, since a producer may wait. A request is answered when Kafka
has acknowledged all of its events. One that gave up leaves them in the buffer, where they are still tried; sent
again with the same event_id meanwhile, or soon after, they are not written a second time.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from kafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError

from producers.connection import ClientLimits, connected
from producers.errors import BufferFullError
from producers.publications import Publication, message_of
from schemas.errors import KafkaUnavailableError, RecsysError
from schemas.events import Interaction
from schemas.kafka_settings import KafkaSettings
from storefront.api.backlog import Backlog
from storefront.api.settings import WriteLimits

_SEND_BLOCK_MS = 1_000
_RETRY_SECONDS = 0.25
_CLOSE_SECONDS = 5.0

_log = logging.getLogger(__name__)


class NotAcknowledgedError(RecsysError):
    """Kafka has not acknowledged something; send it again with the same event_id."""

    retriable = True


class _Entry:
    """One publication on its way, and the requests that wait for it."""

    __slots__ = ("deadline", "identity", "key", "size_bytes", "topic_name", "value", "waiters")

    def __init__(self, topic_name: str, key: bytes, value: bytes | None, identity: tuple[str, str] | None) -> None:
        self.deadline = float("inf")
        self.topic_name, self.key, self.value, self.identity = topic_name, key, value, identity
        self.size_bytes = len(key) + len(value or b"")
        self.waiters: list[_Request] = []


class _Request:
    """One request's publications: how many are not settled yet, and whether one failed."""

    __slots__ = ("failure", "future", "loop", "unsettled")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop, self.future = loop, loop.create_future()
        self.unsettled = 0
        self.failure: str | None = None

    def settle(self, failure: str | None) -> bool:
        """One is settled; True when it was the last. Called with the publisher's lock held."""
        self.unsettled -= 1
        self.failure = self.failure or failure
        return self.unsettled == 0

    def tell(self) -> None:
        """Wake the request, on its own loop; it may be gone."""
        try:
            self.loop.call_soon_threadsafe(self._finish)
        except RuntimeError:  # the loop is closed
            _log.debug("a request ended before its events were settled")

    def _finish(self) -> None:
        if self.future.done():
            return
        if self.failure is None:
            self.future.set_result(None)
        else:
            self.future.set_exception(NotAcknowledgedError(self.failure))


class EdgePublisher:
    """Publishes for many requests at once; ``connect`` makes the producer and may fail while Kafka is away."""

    def __init__(
        self,
        kafka: KafkaSettings,
        limits: WriteLimits | None = None,
        *,
        connect: Callable[[KafkaSettings, ClientLimits], Any] = connected,
    ) -> None:
        self._kafka, self._limits, self._connect = kafka, limits or WriteLimits(), connect
        self._client_limits = ClientLimits(
            max_block_ms=_SEND_BLOCK_MS,
            linger_ms=self._limits.linger_ms,
            delivery_timeout_ms=int(1_000 * self._limits.delivery_timeout_seconds),
        )
        self._lock = threading.Condition()
        self._backlog: Backlog[_Entry] = Backlog()
        self._under_way: dict[tuple[str, str], _Entry] = {}
        self._recent: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._waiting = 0
        self._waiting_bytes = 0
        self._closed = False
        self._broken = False
        self._thread = threading.Thread(target=self._run, name="edge-publisher", daemon=True)

    @property
    def waiting(self) -> int:
        """Events that Kafka has not acknowledged yet."""
        return self._waiting

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    async def publish(self, publications: Sequence[Publication]) -> None:
        """Return when Kafka has them all.

        Raises ``BufferFullError`` when there is no room (nothing of the request is taken then),
        ``NotAcknowledgedError`` when an acknowledgement fails or does not come in time, ``ContractError``.
        """
        request = _Request(asyncio.get_running_loop())
        self._take([_entry(publication) for publication in publications], request)
        if not request.unsettled:
            return
        try:
            await asyncio.wait_for(request.future, self._limits.acknowledge_timeout_seconds)
        except TimeoutError:
            raise NotAcknowledgedError(
                f"Kafka has not acknowledged within {self._limits.acknowledge_timeout_seconds:g} s"
            ) from None

    def close(self) -> None:
        """Write what is in the buffer, for a few seconds, and end."""
        with self._lock:
            self._closed = True
            self._lock.notify_all()
        if self._thread.is_alive():
            self._thread.join(2 * _CLOSE_SECONDS)

    def _take(self, entries: Sequence[_Entry], request: _Request) -> None:
        with self._lock:
            if self._closed:
                raise BufferFullError("the server is stopping; send it again")
            new = self._not_yet_taken(entries, request)
            size_bytes = sum(entry.size_bytes for entry in new)
            if (
                self._waiting + len(new) > self._limits.max_waiting
                or self._waiting_bytes + size_bytes > self._limits.max_waiting_bytes
            ):
                self._withdraw(entries, request)
                raise BufferFullError(f"{self._waiting} events wait for Kafka, and there is no room for more")
            deadline = time.monotonic() + self._limits.delivery_timeout_seconds
            for entry in new:
                entry.deadline = deadline
                entry.waiters.append(request)
                if entry.identity is not None:
                    self._under_way[entry.identity] = entry
            request.unsettled += len(new)
            self._waiting += len(new)
            self._waiting_bytes += size_bytes
            self._backlog.extend(new)
            self._lock.notify_all()

    def _not_yet_taken(self, entries: Sequence[_Entry], request: _Request) -> list[_Entry]:
        """Those that are neither acknowledged nor under way; the request waits for the latter too."""
        new: list[_Entry] = []
        identities: set[tuple[str, str]] = set()
        for entry in entries:
            if entry.identity is None:
                new.append(entry)
                continue
            if entry.identity in self._recent or entry.identity in identities:
                continue
            identities.add(entry.identity)
            known = self._under_way.get(entry.identity)
            if known is None:
                new.append(entry)
            else:
                known.waiters.append(request)
                request.unsettled += 1
        return new

    def _withdraw(self, entries: Sequence[_Entry], request: _Request) -> None:
        for entry in entries:
            known = None if entry.identity is None else self._under_way.get(entry.identity)
            if known is not None and request in known.waiters:
                known.waiters.remove(request)

    def _run(self) -> None:
        producer: Any = None
        while (entry := self._next()) is not None:
            if producer is not None and self._broken:
                _close(producer)
                producer = None
            while producer is None and not self._closed:
                producer = self._connected()
            if time.monotonic() > entry.deadline:
                self._settled(entry, f"Kafka did not take it within {self._limits.delivery_timeout_seconds:g} s")
            elif producer is None or not self._send(producer, entry):
                with self._lock:
                    self._backlog.put_aside(entry, time.monotonic())
        if producer is not None:
            _close(producer)
        with self._lock:
            left = self._backlog.drain()
        for entry in left:
            self._settled(entry, "the server stopped before Kafka took it")

    def _next(self) -> _Entry | None:
        """The next to be written; None when closed and nothing can be written any more."""
        with self._lock:
            while True:
                now = time.monotonic()
                entry = self._backlog.pop(now)
                if entry is not None or self._closed:
                    return entry
                self._lock.wait(self._backlog.wait_seconds(now))

    def _connected(self) -> Any:
        self._broken = False
        try:
            return self._connect(self._kafka, self._client_limits)
        except (KafkaUnavailableError, KafkaError) as error:
            _log.warning("%s", error)
            with self._lock:
                if not self._closed:
                    self._lock.wait(_RETRY_SECONDS)
            return None

    def _send(self, producer: Any, entry: _Entry) -> bool:
        """Hand one to the producer; False where its topic cannot be reached just now."""
        try:
            future = producer.send(self._kafka.named(entry.topic_name), key=entry.key, value=entry.value)
        except KafkaTimeoutError:
            return False
        except Exception as error:  # whatever becomes of one event, the thread lives on for the others
            self._failed(entry, error)
            return True
        with self._lock:
            self._backlog.reached(entry.topic_name)
        future.add_callback(lambda _: self._settled(entry, None))
        future.add_errback(lambda error: self._failed(entry, error))
        return True

    def _failed(self, entry: _Entry, error: BaseException) -> None:
        # A producer that lost its place in a partition's sequence may never send again: the next one begins anew.
        self._broken = self._broken or not isinstance(error, (KafkaTimeoutError, MessageSizeTooLargeError))
        self._settled(entry, str(error) or type(error).__name__)

    def _settled(self, entry: _Entry, failure: str | None) -> None:
        with self._lock:
            self._waiting -= 1
            self._waiting_bytes -= entry.size_bytes
            if entry.identity is not None:
                self._under_way.pop(entry.identity, None)
                if failure is None:
                    self._remember(entry.identity)
            finished = [request for request in entry.waiters if request.settle(failure)]
        for request in finished:
            request.tell()

    def _remember(self, identity: tuple[str, str]) -> None:
        self._recent[identity] = None
        if len(self._recent) > self._limits.remembered_event_ids:
            self._recent.popitem(last=False)


def _close(producer: Any) -> None:
    """Close it; what it has not delivered by then fails."""
    try:
        producer.flush(timeout=_CLOSE_SECONDS)
    except KafkaError:
        # kafka-python's own close() raises in this case and leaves its thread running.
        producer._sender.force_close()  # noqa: SLF001
    try:
        producer.close(timeout=_CLOSE_SECONDS)
    except KafkaError as error:
        _log.warning("closing the producer: %s", error)


def _entry(publication: Publication) -> _Entry:
    topic, key, value = message_of(publication)
    identity = None
    if isinstance(publication, Interaction):
        identity = (f"{topic.name}/{publication.subject}", publication.event_id)
    return _Entry(topic.name, key, value, identity)
