"""The shop's client on a real Kafka: delivered, in order, once, and honest about what was not."""

from __future__ import annotations

import socket
import threading
from collections import defaultdict
from typing import TYPE_CHECKING

import pytest

from producers.client import ShopEvents
from producers.connection import ClientLimits
from producers.errors import BufferFullError, ClientClosedError, DeliveryError
from schemas.codec import decode
from schemas.errors import KafkaUnavailableError
from schemas.events import PdpView, ProductCreated
from schemas.kafka_settings import KafkaSettings
from schemas.topics import PDP_VIEW, PRODUCT_CREATED, USER_UPDATED, Topic
from storefront.following import TopicFollower

if TYPE_CHECKING:
    from consumers.runtime.records import Record
    from deploy.embedded_kafka import EmbeddedKafka


def records_on(settings: KafkaSettings, topic: Topic) -> list[Record]:
    with TopicFollower(settings, [topic]) as follower:
        return [record for records in follower.to_end() for record in records]


def views_on(settings: KafkaSettings) -> list[tuple[int, PdpView]]:
    found = []
    for record in records_on(settings, PDP_VIEW):
        event = decode(PDP_VIEW.name, record.value or b"")
        assert isinstance(event, PdpView)
        assert record.key == event.subject.encode()
        found.append((record.partition, event))
    return found


def test_events_of_threads_arrive_in_order_per_user_each_in_one_partition(kafka: KafkaSettings) -> None:
    with ShopEvents(kafka) as shop:

        def browse(user: int) -> None:
            for number in range(500):
                shop.viewed(f"user-{user}", f"p{number}")

        threads = [threading.Thread(target=browse, args=(user,)) for user in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    seen: dict[str, list[str]] = defaultdict(list)
    partitions: dict[str, set[int]] = defaultdict(set)
    for partition, view in views_on(kafka):
        seen[view.subject].append(view.product_id)
        partitions[view.subject].add(partition)
    assert dict(seen) == {f"user-{user}": [f"p{n}" for n in range(500)] for user in range(6)}
    assert all(len(own) == 1 for own in partitions.values())
    assert len(set.union(*partitions.values())) > 1


def test_products_and_withdrawals_arrive(kafka: KafkaSettings) -> None:
    with ShopEvents(kafka) as shop:
        shop.product_created("p", title="Mug", price=2.5, event_time_ms=5)
        shop.product_retired("p")
        shop.user_updated("u", {"city": "Bern"})
        shop.user_forgotten("u")
    created, retired = records_on(kafka, PRODUCT_CREATED)
    assert decode(PRODUCT_CREATED.name, created.value or b"") == ProductCreated("p", 5, "Mug", price=2.5)
    assert (retired.key, retired.value) == (b"p", None)
    assert [(record.key, record.value is None) for record in records_on(kafka, USER_UPDATED)] == [
        (b"u", False),
        (b"u", True),
    ]


def test_flush_makes_visible_and_close_is_final(kafka: KafkaSettings) -> None:
    shop = ShopEvents(kafka)
    shop.viewed("u", "p", event_id="e1")
    shop.flush()
    assert [view.event_id for _, view in views_on(kafka)] == ["e1"]
    shop.viewed("u", "p", event_id="e2")
    shop.close()
    shop.close()
    assert [view.event_id for _, view in views_on(kafka)] == ["e1", "e2"]
    with pytest.raises(ClientClosedError):
        shop.viewed("u", "p")
    assert not any(
        thread.name.startswith("kafka-producer") for thread in threading.enumerate() if thread.is_alive()
    )


def test_a_topic_that_is_not_there_is_named(kafka: KafkaSettings) -> None:
    elsewhere = kafka.model_copy(update={"topic_prefix": "never-created."})
    with (
        ShopEvents(elsewhere, limits=ClientLimits(max_block_ms=500)) as shop,
        pytest.raises(KafkaUnavailableError, match=r"the topic never-created\.pdp-view could not be reached"),
    ):
        shop.viewed("u", "p")


def test_an_unreachable_kafka_is_said_in_one_line() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(
            KafkaUnavailableError, match=f"no Kafka answers at {address} .* KAFKA_BOOTSTRAP_SERVERS"
        ):
            ShopEvents(bootstrap_servers=address, limits=ClientLimits(connect_timeout_ms=300))


def test_a_broker_that_goes_away_comes_back_and_goes_for_good(embedded_kafka: EmbeddedKafka) -> None:
    """What is published meanwhile waits, or is refused when there is no more room; at last it is handed back."""
    from deploy.topics import ensure_topics

    settings = embedded_kafka.up()
    ensure_topics(settings)
    shop = ShopEvents(settings, limits=ClientLimits(max_pending=20, max_block_ms=300, close_timeout_ms=200))
    shop.viewed("u", "before", event_id="before")
    shop.flush()
    embedded_kafka.down()
    with pytest.raises(BufferFullError, match="20 events"):  # noqa: PT012
        for number in range(21):
            shop.viewed("u", f"p{number}", event_id=f"e{number}")
    with pytest.raises(KafkaUnavailableError, match="20 events are not acknowledged"):
        shop.flush(0.1)

    port = int((settings.bootstrap_servers or "").rpartition(":")[2])
    restarted = type(embedded_kafka)(embedded_kafka.settings.model_copy(update={"port": port}))
    restarted.up()
    shop.flush()
    shop.viewed("u", "after", event_id="after")
    shop.flush()
    expected = ["before", *(f"e{number}" for number in range(20)), "after"]
    assert [view.event_id for _, view in views_on(settings)] == expected

    restarted.down()
    shop.viewed("u", "p", event_id="lost", event_time_ms=7)
    with pytest.raises(DeliveryError, match="1 event was not acknowledged") as raised:
        shop.close()
    assert [failure.publication for failure in raised.value.failures] == [PdpView("lost", 7, "u", None, "p")]
