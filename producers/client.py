"""The client that a shop's backend imports.

    with ShopEvents(bootstrap_servers="kafka-1:9092,kafka-2:9092") as shop:
        shop.viewed("u1", "p1")

Every call returns at once; delivery goes on in the background, idempotently and in order per user. What Kafka
did not acknowledge is never dropped in silence: ``flush`` and ``close`` (the end of the ``with`` block) raise
``DeliveryError`` with the events in question. The client is safe to share between threads; make it after a
fork, not before.
"""

from __future__ import annotations

import atexit
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self

from kafka.errors import KafkaError, KafkaTimeoutError

from producers.connection import ClientLimits, connected, reason
from producers.errors import BufferFullError, ClientClosedError, DeliveryError, DeliveryFailure
from producers.publications import ProductRetired, Publication, UserForgotten, message_of
from schemas.errors import ConfigurationError, InvalidEventError, KafkaUnavailableError
from schemas.events import CartAdd, PdpView, ProductCreated, Purchase, SessionJoined, UserUpdated
from schemas.kafka_settings import KafkaSettings

_FORCED_CLOSE_SECONDS = 5.0


class _Pending(NamedTuple):
    future: Any
    size_bytes: int
    publication: Publication


class ShopEvents:
    """Publishes a shop's events, exactly once each where the event_id of a retry is that of the first try.

    Raises ``KafkaUnavailableError`` when no Kafka answers, ``ContractError`` (at the call) for an event that
    cannot be, ``BufferFullError`` when there is no room for ``max_block_ms``. ``on_failure`` is called
    with each failure, by the next call that publishes, flushes or closes, for processes that seldom flush; it
    must not call the client.
    """

    def __init__(
        self,
        settings: KafkaSettings | None = None,
        *,
        bootstrap_servers: str | None = None,
        limits: ClientLimits | None = None,
        on_failure: Callable[[DeliveryFailure], None] | None = None,
    ) -> None:
        if settings is not None and bootstrap_servers is not None:
            raise ConfigurationError("give settings or bootstrap_servers, not both")
        self._settings = settings or KafkaSettings(bootstrap_servers=bootstrap_servers)
        self._limits = limits or ClientLimits()
        self._on_failure = on_failure
        self._lock = threading.Lock()
        self._pending: deque[_Pending] = deque()
        self._pending_bytes = 0
        self._failures: list[DeliveryFailure] = []
        self._failed = 0
        self._closed = False
        self._producer = connected(self._settings, self._limits)
        atexit.register(self.close)

    def viewed(
        self,
        user: str | None,
        product: str,
        *,
        session: str | None = None,
        event_id: str | None = None,
        event_time_ms: int | None = None,
    ) -> str:
        """A product page was viewed; a guest is ``user=None`` with a ``session``. Returns the event_id."""
        event = PdpView(*_who(event_id, event_time_ms, user, session), product)
        self.publish(event)
        return event.event_id

    def added_to_cart(
        self,
        user: str | None,
        product: str,
        *,
        quantity: float = 1.0,
        session: str | None = None,
        event_id: str | None = None,
        event_time_ms: int | None = None,
    ) -> str:
        """A product was put into the cart. Returns the event_id."""
        event = CartAdd(*_who(event_id, event_time_ms, user, session), product, quantity)
        self.publish(event)
        return event.event_id

    def purchased(
        self,
        user: str | None,
        product: str,
        *,
        quantity: float = 1.0,
        unit_price: float | None = None,
        session: str | None = None,
        event_id: str | None = None,
        event_time_ms: int | None = None,
    ) -> str:
        """A product was bought; a negative quantity is a return. Returns the event_id."""
        who = _who(event_id, event_time_ms, user, session)
        event = Purchase(*who, product, quantity, unit_price)
        self.publish(event)
        return event.event_id

    def product_created(
        self,
        product: str,
        *,
        title: str = "",
        category: str = "",
        image_url: str | None = None,
        price: float | None = None,
        in_stock: bool = True,
        attributes: Mapping[str, str] | None = None,
        other_image_urls: Sequence[str] = (),
        event_time_ms: int | None = None,
    ) -> None:
        """A product as it is now; call it again, with everything, whenever something about it changes."""
        at_ms = _now_ms() if event_time_ms is None else event_time_ms
        facts = dict(attributes or {})
        others = list(other_image_urls)
        self.publish(ProductCreated(product, at_ms, title, category, image_url, price, in_stock, facts, others))

    def product_retired(self, product: str) -> None:
        """A product is gone for good: it leaves every list."""
        self.publish(ProductRetired(product))

    def user_updated(self, user: str, attributes: Mapping[str, str], *, event_time_ms: int | None = None) -> None:
        """A user's profile as it is now."""
        self.publish(UserUpdated(user, _now_ms() if event_time_ms is None else event_time_ms, dict(attributes)))

    def signed_in(self, user: str, session: str, *, event_time_ms: int | None = None) -> None:
        """A guest signed in: what the session did becomes the user's. To be called again does no harm."""
        self.publish(SessionJoined(session, user, _now_ms() if event_time_ms is None else event_time_ms))

    def user_forgotten(self, user: str) -> None:
        """Forget this user: history and lists."""
        self.publish(UserForgotten(user))

    def publish(self, publication: Publication) -> None:
        """Publish an event that is already made; waits only while the buffer is full."""
        topic, key, value = message_of(publication)
        size_bytes = len(key) + len(value or b"")
        with self._lock:
            if self._closed:
                raise ClientClosedError("this ShopEvents is closed; open another one to publish")
            self._make_room(size_bytes)
            try:
                future = self._producer.send(self._settings.named(topic), key=key, value=value)
            except KafkaTimeoutError as error:
                raise KafkaUnavailableError(
                    f"the topic {self._settings.named(topic)} could not be reached ({error}); "
                    "is Kafka up, and were the topics created?"
                ) from error
            except KafkaError as error:
                raise DeliveryError(1, [DeliveryFailure(publication, reason(error))]) from error
            self._pending.append(_Pending(future, size_bytes, publication))
            self._pending_bytes += size_bytes

    def flush(self, timeout_seconds: float | None = None) -> None:
        """Wait until everything published so far is acknowledged; raises ``DeliveryError`` if not all of it is.

        Without a timeout it waits as long as delivery is tried. Each failure is raised once.
        """
        unacknowledged = self._wait(timeout_seconds)
        if unacknowledged and not self._failed:
            raise KafkaUnavailableError(
                f"{unacknowledged} events are not acknowledged after {timeout_seconds} s; "
                "they are still being tried: flush again"
            )
        self._raise_failures()

    def close(self) -> None:
        """Flush and close; what is not acknowledged in time is given up and raised as ``DeliveryError``."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        atexit.unregister(self.close)
        if self._wait(self._limits.close_timeout_ms / 1000):
            # kafka-python's own close() raises in this case and leaves its thread running.
            self._producer._sender.force_close()  # noqa: SLF001
            self._wait(_FORCED_CLOSE_SECONDS)
        try:
            self._producer.close(timeout=_FORCED_CLOSE_SECONDS)
        finally:
            self._raise_failures()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except DeliveryError as failure:
            if error is None:
                raise
            error.add_note(f"and while closing: {failure}")

    def _make_room(self, size_bytes: int) -> None:
        """Let go of what is settled; wait for the oldest while there is no room. Called with the lock held."""
        limits = self._limits
        deadline: float | None = None
        while True:
            while self._pending and self._pending[0].future.is_done:
                self._let_go(self._pending.popleft())
            full = (
                len(self._pending) >= limits.max_pending
                or self._pending_bytes + size_bytes > limits.max_pending_bytes
            )
            if not full or not self._pending:
                return
            if deadline is None:
                deadline = time.monotonic() + limits.max_block_ms / 1000
            if not _settled(self._pending[0].future, deadline - time.monotonic()):
                raise BufferFullError(
                    f"{len(self._pending)} events ({self._pending_bytes} bytes) wait for Kafka, and none was "
                    f"acknowledged within {limits.max_block_ms} ms; publish more slowly, or see to Kafka"
                )

    def _wait(self, timeout_seconds: float | None) -> int:
        """Wait for what is pending now and let go of what is settled; the number of events that are not."""
        with self._lock:
            waiting = [pending.future for pending in self._pending]
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        for future in waiting:
            if not _settled(future, None if deadline is None else deadline - time.monotonic()):
                break
        with self._lock:
            kept: deque[_Pending] = deque()
            for pending in self._pending:
                if pending.future.is_done:
                    self._let_go(pending)
                else:
                    kept.append(pending)
            self._pending = kept
        return sum(not future.is_done for future in waiting)

    def _let_go(self, pending: _Pending) -> None:
        """Account for one settled event. Called with the lock held."""
        self._pending_bytes -= pending.size_bytes
        if pending.future.exception is None:
            return
        failure = DeliveryFailure(pending.publication, reason(pending.future.exception))
        self._failed += 1
        if len(self._failures) < self._limits.kept_failures:
            self._failures.append(failure)
        if self._on_failure is not None:
            self._on_failure(failure)

    def _raise_failures(self) -> None:
        with self._lock:
            count, failures = self._failed, self._failures
            self._failed, self._failures = 0, []
        if count:
            raise DeliveryError(count, failures)


def _who(
    event_id: str | None, event_time_ms: int | None, user: str | None, session: str | None
) -> tuple[str, int, str | None, str | None]:
    if user is None and session is None:
        raise InvalidEventError("neither user nor session is given; a guest is user=None with a session")
    return (
        uuid.uuid4().hex if event_id is None else event_id,
        _now_ms() if event_time_ms is None else event_time_ms,
        user,
        session,
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _settled(future: Any, timeout_seconds: float | None) -> bool:
    """Wait for one acknowledgement or failure; False when neither came in time."""
    if future.is_done:
        return True
    if timeout_seconds is not None and timeout_seconds <= 0:
        return False
    try:
        future.get(timeout=timeout_seconds)
    except KafkaError:
        return bool(future.is_done)
    return True
