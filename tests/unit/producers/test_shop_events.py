"""The client, on a Kafka that acknowledges when the test says so."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kafka.errors import KafkaTimeoutError, TopicAuthorizationFailedError
from kafka.future import Future

from producers import client
from producers.client import ShopEvents
from producers.connection import ClientLimits
from producers.errors import BufferFullError, ClientClosedError, DeliveryError, DeliveryFailure
from producers.publications import ProductRetired, UserForgotten
from schemas.codec import decode
from schemas.errors import ConfigurationError, InvalidEventError, KafkaUnavailableError
from schemas.events import CartAdd, PdpView, ProductCreated, Purchase, SessionJoined, UserUpdated
from schemas.kafka_settings import KafkaSettings


class Acknowledgement(Future):  # type: ignore[misc]
    """kafka-python's future with the waiting that its producer adds."""

    def __init__(self) -> None:
        super().__init__()
        self.settled = threading.Event()
        self.add_both(lambda _: self.settled.set())

    def get(self, timeout: float | None = None) -> Any:
        if not self.settled.wait(timeout):
            raise KafkaTimeoutError("not in time")
        if self.exception is not None:
            raise self.exception
        return self.value


class FakeKafka:
    """Takes messages, and acknowledges at once or when it is told to."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes, bytes | None]] = []
        self.futures: list[Acknowledgement] = []
        self.at_once = True
        self.refusal: Exception | None = None
        self.closed = False
        self._sender = self

    def send(self, topic: str, key: bytes, value: bytes | None) -> Acknowledgement:
        if self.refusal is not None:
            raise self.refusal
        self.sent.append((topic, key, value))
        future = Acknowledgement()
        self.futures.append(future)
        if self.at_once:
            future.success(None)
        return future

    def force_close(self) -> None:
        for future in self.futures:
            if not future.is_done:
                future.failure(KafkaTimeoutError("given up"))

    def close(self, timeout: float) -> None:
        self.closed = True


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> FakeKafka:
    fake = FakeKafka()
    monkeypatch.setattr(client, "connected", lambda settings, limits: fake)
    monkeypatch.setattr(client, "_now_ms", lambda: 1_700_000_000_000)
    return fake


@pytest.fixture
def shop(broker: FakeKafka) -> Iterator[ShopEvents]:
    shop = ShopEvents(KafkaSettings(topic_prefix="s."))
    yield shop
    broker.force_close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shop, "_raise_failures", lambda: None)
        shop.close()


def limited(**limits: int) -> ShopEvents:
    return ShopEvents(limits=ClientLimits(**{"close_timeout_ms": 0, **limits}))


def test_every_call_publishes_its_event(shop: ShopEvents, broker: FakeKafka) -> None:
    ids = [
        shop.viewed("u", "p", event_id="e1", event_time_ms=5),
        shop.added_to_cart(None, "p", session="s", quantity=2, event_id="e2"),
        shop.purchased("u", "p", quantity=3, unit_price=1.5, session="s", event_id="e3"),
    ]
    shop.product_created(
        "p", title="Mug", category="mugs", image_url="a.jpg", price=2.0, in_stock=False, attributes={"a": "b"}
    )
    shop.user_updated("u", {"city": "Bern"})
    shop.product_retired("p")
    shop.user_forgotten("u")
    shop.signed_in("u", "s")
    now = 1_700_000_000_000
    assert ids == ["e1", "e2", "e3"]
    assert [(topic, key, value and decode(topic[2:], value)) for topic, key, value in broker.sent] == [
        ("s.pdp-view", b"u", PdpView("e1", 5, "u", None, "p")),
        ("s.cart-add", b"s", CartAdd("e2", now, None, "s", "p", 2.0)),
        ("s.purchase", b"u", Purchase("e3", now, "u", "s", "p", 3.0, 1.5)),
        ("s.product-created", b"p", ProductCreated("p", now, "Mug", "mugs", "a.jpg", 2.0, False, {"a": "b"})),
        ("s.user-updated", b"u", UserUpdated("u", now, {"city": "Bern"})),
        ("s.product-created", b"p", None),
        ("s.user-updated", b"u", None),
        ("s.session-joined", b"s", SessionJoined("s", "u", now)),
    ]


def test_event_ids_are_new_unless_given(shop: ShopEvents) -> None:
    assert len({shop.viewed("u", "p") for _ in range(100)}) == 100
    assert shop.viewed("u", "p", event_id="mine") == "mine"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda shop: shop.viewed(None, "p"), "neither user nor session is given; a guest is user=None"),
        (lambda shop: shop.viewed("u", ""), "product_id is empty"),
        (lambda shop: shop.viewed("", "p"), "user_id is empty"),
        (lambda shop: shop.viewed("u", "p", event_id=""), "event_id is empty"),
        (lambda shop: shop.viewed("u", "p", event_time_ms=-1), "event_time_ms is -1"),
        (lambda shop: shop.purchased("u", "p", quantity=0), "is 0; give a number"),
        (lambda shop: shop.product_created("p", price=-1), "price of p is -1"),
        (lambda shop: shop.product_retired(""), "give the shop's own id"),
    ],
)
def test_an_event_that_cannot_be_is_refused_at_the_call(
    shop: ShopEvents, broker: FakeKafka, call: Callable[[ShopEvents], object], message: str
) -> None:
    with pytest.raises(InvalidEventError, match=message):
        call(shop)
    assert broker.sent == []


def test_flush_waits_for_every_acknowledgement(shop: ShopEvents, broker: FakeKafka) -> None:
    broker.at_once = False
    shop.viewed("u", "p")
    shop.viewed("u", "q")
    with pytest.raises(KafkaUnavailableError, match=r"2 events are not acknowledged after 0.01 s; .* flush again"):
        shop.flush(0.01)
    acknowledging = threading.Timer(0.02, lambda: [future.success(None) for future in broker.futures])
    acknowledging.start()
    shop.flush()
    acknowledging.join()
    assert all(future.is_done for future in broker.futures)


def test_failures_are_raised_once_with_the_events(shop: ShopEvents, broker: FakeKafka) -> None:
    broker.at_once = False
    shop.viewed("u", "p", event_id="e1")
    shop.viewed("u", "q", event_id="e2")
    shop.product_retired("r")
    broker.futures[0].success(None)
    broker.futures[1].failure(KafkaTimeoutError("too late"))
    broker.futures[2].failure(TopicAuthorizationFailedError())
    with pytest.raises(DeliveryError, match=r"2 events were not acknowledged by Kafka .*too late") as raised:
        shop.flush()
    assert raised.value.retriable
    assert raised.value.count == 2
    event, retired = (failure.publication for failure in raised.value.failures)
    assert isinstance(event, PdpView)
    assert event.event_id == "e2"
    assert retired == ProductRetired("r")
    shop.flush()
    broker.at_once = True
    shop.publish(event)
    assert broker.sent[-1] == broker.sent[1]
    shop.flush()


def test_failures_beyond_those_kept_are_counted(broker: FakeKafka) -> None:
    shop = limited(kept_failures=2)
    broker.at_once = False
    for _ in range(5):
        shop.viewed("u", "p")
    with pytest.raises(DeliveryError, match=r"5 events were not acknowledged .*given up") as raised:
        shop.close()
    assert len(raised.value.failures) == 2


def test_failures_reach_the_callback(broker: FakeKafka) -> None:
    seen: list[DeliveryFailure] = []
    shop = ShopEvents(on_failure=seen.append)
    broker.at_once = False
    shop.user_forgotten("u")
    broker.futures[0].failure(KafkaTimeoutError("no"))
    broker.at_once = True
    shop.viewed("u", "p")
    assert [failure.publication for failure in seen] == [UserForgotten("u")]
    with pytest.raises(DeliveryError, match="1 event was not acknowledged"):
        shop.close()


def test_a_full_buffer_waits_then_refuses_and_takes_again(broker: FakeKafka) -> None:
    shop = limited(max_pending=2, max_block_ms=20)
    broker.at_once = False
    for product in ("p1", "p2"):
        shop.viewed("u", product)
    with pytest.raises(BufferFullError, match=r"2 events \(\d+ bytes\) wait for Kafka, .* within 20 ms") as raised:
        shop.viewed("u", "p3")
    assert raised.value.retriable
    assert len(broker.sent) == 2
    broker.futures[0].success(None)
    shop.viewed("u", "p3")
    assert len(broker.sent) == 3
    for future in broker.futures[1:]:
        future.success(None)
    shop.close()


def test_the_buffer_is_bounded_in_bytes_but_takes_one_event_of_any_size(broker: FakeKafka) -> None:
    shop = limited(max_pending_bytes=100, max_block_ms=20)
    broker.at_once = False
    shop.product_created("p", title="x" * 500)
    with pytest.raises(BufferFullError):
        shop.viewed("u", "p")
    broker.futures[0].success(None)
    shop.viewed("u", "p")
    broker.futures[1].success(None)
    shop.close()


def test_errors_of_sending_say_what_to_do(shop: ShopEvents, broker: FakeKafka) -> None:
    broker.refusal = KafkaTimeoutError("no metadata")
    with pytest.raises(KafkaUnavailableError, match=r"s.pdp-view could not be reached .* topics created\?"):
        shop.viewed("u", "p")
    broker.refusal = TopicAuthorizationFailedError("s.pdp-view")
    with pytest.raises(DeliveryError, match="1 event was not acknowledged"):
        shop.viewed("u", "p")


def test_a_closed_client_refuses_and_may_be_closed_again(broker: FakeKafka) -> None:
    with ShopEvents() as shop:
        shop.viewed("u", "p")
    assert broker.closed
    shop.close()
    with pytest.raises(ClientClosedError, match="open another one to publish"):
        shop.viewed("u", "p")


def test_leaving_the_block_raises_what_was_lost(broker: FakeKafka) -> None:
    broker.at_once = False
    with pytest.raises(DeliveryError, match="1 event was not acknowledged"), limited() as shop:
        shop.viewed("u", "p")
    assert broker.closed


def test_an_error_in_the_block_is_kept_and_told_what_was_lost(broker: FakeKafka) -> None:
    broker.at_once = False
    with pytest.raises(ZeroDivisionError) as raised, limited() as shop:  # noqa: PT012
        shop.viewed("u", "p")
        raise ZeroDivisionError
    assert raised.value.__notes__[0].startswith("and while closing: 1 event was not acknowledged")


def test_settings_and_servers_exclude_each_other(broker: FakeKafka) -> None:
    with pytest.raises(ConfigurationError, match="not both"):
        ShopEvents(KafkaSettings(), bootstrap_servers="h:1")


def test_threads_share_a_client(shop: ShopEvents, broker: FakeKafka) -> None:
    def publish(user: int) -> None:
        for number in range(200):
            shop.viewed(f"u{user}", f"p{number}")

    threads = [threading.Thread(target=publish, args=(user,)) for user in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shop.flush()
    for user in range(4):
        views = [decode("pdp-view", value or b"") for _, key, value in broker.sent if key == f"u{user}".encode()]
        assert [view.product_id for view in views if isinstance(view, PdpView)] == [f"p{n}" for n in range(200)]


def test_limits_have_bounds() -> None:
    with pytest.raises(ValueError, match="max_pending"):
        ClientLimits(max_pending=0)
    with pytest.raises(ValueError, match="no_such_limit"):
        ClientLimits(no_such_limit=1)  # type: ignore[call-arg]
