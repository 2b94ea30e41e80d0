from __future__ import annotations

import asyncio
from typing import Any

import pytest
from kafka.errors import KafkaTimeoutError, OutOfOrderSequenceNumberError

from schemas.codec import decode

VIEW = {"type": "view", "user_id": "u", "product_id": "p", "event_id": "e1", "event_time_ms": 5}


def test_every_type_of_event_goes_onto_its_topic(api: Any, fake_kafka: Any) -> None:
    events = [
        VIEW,
        {"type": "cart-add", "session_id": "s", "product_id": "p", "quantity": 2},
        {"type": "purchase", "user_id": "u", "product_id": "p", "quantity": -1, "unit_price": 3.5},
        {"type": "impression", "user_id": "u", "product_id": "p", "recommendation_id": "similar.1.ab", "rank": 3},
        {"type": "click", "user_id": "u", "product_id": "p", "placement": "home", "kind": "for-you"},
    ]
    response = api.post("/events", json=events)
    assert (response.status_code, response.json()["accepted"]) == (202, 5)
    assert len(set(response.json()["event_ids"])) == 5
    assert [sent[0] for sent in fake_kafka.sent] == ["pdp-view", "cart-add", "purchase", "impression", "click"]
    assert [sent[1] for sent in fake_kafka.sent] == [b"u", b"s", b"u", b"u", b"u"]
    view, cart_add, purchase, impression, click = (decode(topic, value) for topic, _, value in fake_kafka.sent)
    assert (view.event_id, view.event_time_ms, view.user_id) == ("e1", 5, "u")  # type: ignore[union-attr]
    assert (cart_add.quantity, purchase.quantity, purchase.unit_price) == (2, -1, 3.5)  # type: ignore[union-attr]
    assert (impression.recommendation_id, impression.rank) == ("similar.1.ab", 3)  # type: ignore[union-attr]
    assert (click.placement, click.kind) == ("home", "for-you")  # type: ignore[union-attr]


def test_a_beacon_is_read_as_json(api: Any, fake_kafka: Any) -> None:
    body = b'{"type": "view", "session_id": "s", "product_id": "p"}'
    assert api.post("/events", content=body, headers={"Content-Type": "text/plain"}).status_code == 202
    assert len(fake_kafka.sent) == 1


@pytest.mark.parametrize(
    ("event", "where"),
    [
        ({"type": "stare", "user_id": "u", "product_id": "p"}, "body"),
        ({"type": "view", "user_id": "u"}, "view.product_id"),
        ({**VIEW, "user_id": "x" * 300}, "view.user_id"),
        ({**VIEW, "price": 1}, "view.price"),
        ({**VIEW, "type": "cart-add", "quantity": 0}, "cart-add.quantity"),
    ],
)
def test_what_cannot_be_is_named_and_nothing_is_taken(
    api: Any, fake_kafka: Any, event: dict[str, Any], where: str
) -> None:
    response = api.post("/events", json=event)
    assert (response.status_code, response.json()["errors"][0]["where"]) == (422, where)
    listed = api.post("/events", json=[VIEW, event])
    assert listed.json()["errors"][0]["where"] in (f"1.{where}", "1")
    assert fake_kafka.sent == []


@pytest.mark.parametrize(
    "event",
    [
        {"type": "view", "product_id": "p"},
        {"type": "purchase", "user_id": "u", "product_id": "p", "quantity": 0},
        {**VIEW, "event_time_ms": 9_000_000_000_000_000},
        {**VIEW, "user_id": "é" * 200},
    ],
)
def test_what_the_contract_refuses_is_a_problem(api: Any, fake_kafka: Any, event: dict[str, Any]) -> None:
    response = api.post("/events", json=event)
    assert (response.status_code, response.headers["content-type"]) == (422, "application/problem+json")
    assert fake_kafka.sent == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'"\\ud800"', b"[" * 5_000])
def test_rubbish_is_a_problem(api: Any, body: bytes) -> None:
    assert api.post("/events", content=body).status_code == 422


def test_batches_are_bounded(api: Any) -> None:
    assert api.post("/events", json=[VIEW] * 501).status_code == 422
    assert api.post("/events", content=b"[" + b" " * 1_100_000 + b"]").status_code == 413


def test_a_repeated_event_id_is_written_once(api: Any, fake_kafka: Any) -> None:
    for _ in range(3):
        assert api.post("/events", json=[VIEW, VIEW]).json()["event_ids"] == ["e1", "e1"]
    assert len(fake_kafka.sent) == 1
    api.post("/events", json={**VIEW, "user_id": "other"})
    assert len(fake_kafka.sent) == 2


def test_nothing_is_acknowledged_before_kafka_has_it(api: Any, fake_kafka: Any) -> None:
    fake_kafka.answering = False
    refused = api.post("/events", json=VIEW)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
    assert refused.json()["event_ids"] == ["e1"]
    fake_kafka.pending.pop().succeed()
    assert api.post("/events", json=VIEW).status_code == 202
    assert len(fake_kafka.sent) == 1


def test_a_retry_waits_for_the_first_try(api: Any, fake_kafka: Any) -> None:
    fake_kafka.answering = False

    async def both() -> list[int]:
        first = asyncio.create_task(api.client.post("/events", json=VIEW))
        while not fake_kafka.pending:
            await asyncio.sleep(0.001)
        second = asyncio.create_task(api.client.post("/events", json=VIEW))
        await asyncio.sleep(0.02)
        fake_kafka.pending.pop().succeed()
        return [response.status_code for response in await asyncio.gather(first, second)]

    assert api.run(both()) == [202, 202]
    assert len(fake_kafka.sent) == 1


def test_a_failed_delivery_is_not_acknowledged_and_may_be_sent_again(api: Any, fake_kafka: Any) -> None:
    fake_kafka.answering = False

    async def failed(error: Exception) -> int:
        sending = asyncio.create_task(api.client.post("/events", json=VIEW))
        while not fake_kafka.pending:
            await asyncio.sleep(0.001)
        fake_kafka.pending.pop().fail(error)
        return (await sending).status_code  # type: ignore[no-any-return]

    assert api.run(failed(KafkaTimeoutError("too late"))) == 503
    assert api.run(failed(OutOfOrderSequenceNumberError())) == 503
    assert fake_kafka.connections == 1
    fake_kafka.answering = True
    assert api.post("/events", json=VIEW).status_code == 202
    assert fake_kafka.connections == 2


def test_a_full_buffer_answers_at_once_and_takes_nothing(api: Any, fake_kafka: Any) -> None:
    fake_kafka.answering = False
    assert api.post("/events", json=[{**VIEW, "event_id": f"e{n}"} for n in range(8)]).status_code == 503
    refused = api.post("/events", json=[{**VIEW, "event_id": f"f{n}"} for n in range(3)])
    assert (refused.status_code, "no room" in refused.json()["detail"]) == (503, True)
    assert len(fake_kafka.sent) == 8
    assert api.edge.publisher.waiting == 8
    for future in fake_kafka.pending:
        future.succeed()
    assert api.edge.publisher.waiting == 0
    fake_kafka.answering = True
    assert api.post("/events", json=VIEW).status_code == 202


def test_events_wait_for_a_kafka_that_comes_back(api: Any, fake_kafka: Any) -> None:
    fake_kafka.reachable = False
    assert api.post("/events", json=VIEW).status_code == 503
    fake_kafka.reachable = True
    assert api.post("/events", json=VIEW).status_code in (202, 503)
    assert api.post("/events", json=VIEW).status_code == 202
    assert len(fake_kafka.sent) == 1


def test_a_topic_that_is_missing_holds_up_no_other(api: Any, fake_kafka: Any) -> None:
    fake_kafka.missing.add("click")
    click = {**VIEW, "type": "click"}
    assert api.post("/events", json=click).status_code == 503
    assert api.post("/events", json=VIEW).status_code == 202
    fake_kafka.missing.clear()
    for _ in range(20):
        if api.post("/events", json=click).status_code == 202:
            break
    assert [sent[0] for sent in fake_kafka.sent] == ["pdp-view", "click"]


def test_an_unforeseen_error_takes_one_event_and_not_the_thread(api: Any, fake_kafka: Any) -> None:
    send = fake_kafka.send

    def fail_once(topic: str, **record: Any) -> Any:
        fake_kafka.send = send
        raise ValueError("unforeseen")

    fake_kafka.send = fail_once
    assert "unforeseen" in api.post("/events", json=VIEW).json()["detail"]
    assert api.post("/events", json=VIEW).status_code == 202
