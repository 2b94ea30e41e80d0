from __future__ import annotations

import pytest

from producers.connection import JavaPartitioner
from producers.publications import ProductRetired, Publication, UserForgotten, message_of
from schemas.codec import decode
from schemas.errors import InvalidEventError
from schemas.events import CartAdd, PdpView, ProductCreated, Purchase, SessionJoined, UserUpdated
from schemas.keys import check_key


@pytest.mark.parametrize(
    ("event", "topic", "key"),
    [
        (ProductCreated("p1", 1, title="Mug"), "product-created", b"p1"),
        (PdpView("e", 1, "u1", "s1", "p1"), "pdp-view", b"u1"),
        (CartAdd("e", 1, None, "s1", "p1"), "cart-add", b"s1"),
        (Purchase("e", 1, "ü", None, "p1", 2, 3.5), "purchase", "ü".encode()),
        (UserUpdated("u1", 1, {"city": "Bern"}), "user-updated", b"u1"),
        (SessionJoined("s1", "u1", 1), "session-joined", b"s1"),
    ],
)
def test_an_event_goes_to_its_topic_under_its_key(event: Publication, topic: str, key: bytes) -> None:
    found, found_key, value = message_of(event)
    assert (found.name, found_key) == (topic, key)
    assert value is not None
    decoded = decode(topic, value)
    assert decoded == event
    check_key(decoded, found_key.decode())


def test_withdrawals_are_null_values() -> None:
    assert message_of(ProductRetired("p1"))[1:] == (b"p1", None)
    assert message_of(ProductRetired("p1"))[0].name == "product-created"
    assert message_of(UserForgotten("u1"))[1:] == (b"u1", None)
    assert message_of(UserForgotten("u1"))[0].name == "user-updated"


@pytest.mark.parametrize("product_id", ["", "x" * 257, "é" * 129])
def test_withdrawals_need_an_id(product_id: str) -> None:
    for kind in (ProductRetired, UserForgotten):
        with pytest.raises(InvalidEventError, match="give the shop's own id, 1 to 256 bytes"):
            kind(product_id)


@pytest.mark.parametrize(
    "event", [ProductRetired("\udcff"), ProductCreated("\udcff", 1), PdpView("e", 1, "\udcff", None, "p")]
)
def test_an_id_that_is_no_unicode_is_refused(event: Publication) -> None:
    with pytest.raises(InvalidEventError):
        message_of(event)


class Cluster:
    """A topic of twelve partitions."""

    def partitions_for_topic(self, topic: str) -> set[int]:
        return set(range(12))


@pytest.mark.parametrize(
    ("key", "hashed"), [(b"21", -973932308), (b"foobar", -790332482), (b"a-little-bit-long-string", -985981536)]
)
def test_keys_go_to_the_partitions_of_every_other_kafka_client(key: bytes, hashed: int) -> None:
    # The hashes are those of Kafka's own UtilsTest.testMurmur2.
    expected = (hashed & 0x7FFFFFFF) % 12
    assert JavaPartitioner().partition("t", key, key, None, None, Cluster()) == expected
