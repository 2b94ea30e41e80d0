"""What an event may say, and what the error says when it may not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from schemas.errors import InvalidEventError
from schemas.events import CartAdd, CoVisits, PdpView, ProductCreated, Purchase, RecommendationUpdated, UserUpdated
from schemas.keys import check_key, key_of

VIEW: dict[str, Any] = {
    "event_id": "e1", "event_time_ms": 5, "user_id": "u", "session_id": None, "product_id": "P1",
}  # fmt: skip
PRODUCT: dict[str, Any] = {"product_id": "P1", "event_time_ms": 5}


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        (PdpView, {"event_id": ""}, "event_id is empty; give the shop's own id"),
        (PdpView, {"product_id": "é" * 129}, "product_id is longer than 256 bytes"),
        (PdpView, {"product_id": 7}, "product_id is 7; give the shop's own id as text"),
        (PdpView, {"user_id": None}, "event e1 has neither user_id nor session_id; give one"),
        (PdpView, {"user_id": None, "session_id": ""}, "session_id is empty"),
        (PdpView, {"event_time_ms": -1}, "event_time_ms is -1; give whole milliseconds since 1970"),
        (PdpView, {"event_time_ms": 1.5}, "event_time_ms is 1.5; give whole milliseconds"),
        (PdpView, {"event_time_ms": "now"}, "event_time_ms is 'now'; give whole milliseconds"),
        (PdpView, {"event_time_ms": 2**63}, "event_time_ms is 9223372036854775808"),
        (CartAdd, {"quantity": -1.0}, "quantity of event e1 is -1.0; give a number above 0"),
        (CartAdd, {"quantity": 0.0}, "give a number above 0"),
        (Purchase, {"quantity": math.nan}, "quantity of event e1 is nan; give a number other than 0"),
        (Purchase, {"quantity": math.inf}, "give a number other than 0"),
    ],
)
def test_an_impossible_interaction_is_refused(kind: Any, given: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidEventError) as refused:
        kind(**{**VIEW, **given})
    assert message in str(refused.value)


@pytest.mark.parametrize("price", [-0.01, math.nan, math.inf])
def test_an_impossible_price_is_refused(price: float) -> None:
    with pytest.raises(InvalidEventError, match=r"price of P1 is .*; give a number of at least 0"):
        ProductCreated(**PRODUCT, price=price)


def test_what_is_possible_is_taken() -> None:
    assert Purchase(**VIEW, quantity=-2.0).quantity == -2.0
    assert ProductCreated(**PRODUCT, price=0.0).price == 0.0
    assert PdpView(**{**VIEW, "product_id": "é" * 128}).product_id == "é" * 128
    assert PdpView(**{**VIEW, "event_time_ms": np.int64(7)}).event_time_ms == 7
    assert UserUpdated("u", 0).attributes == {}


def test_a_guest_is_known_by_the_session() -> None:
    assert PdpView(**VIEW).subject == "u"
    assert PdpView(**{**VIEW, "user_id": None, "session_id": "s"}).subject == "s"
    assert PdpView(**{**VIEW, "session_id": "s"}).subject == "u"


def test_arrays_that_belong_together_are_equally_long() -> None:
    visits = {"visit_times_ms": [1], "visit_actions": [0], "visit_weights": [1.0]}
    companions = {
        "companion_ids": ["P2"], "companion_times_ms": [1],
        "companion_relations": [0], "companion_strengths": [0.5],
    }  # fmt: skip
    rest = {"product_id": "P1", "caused_by": "pdp-view/e1", "caused_at_ms": 1}
    assert CoVisits(**rest, **visits, **companions).product_id == "P1"  # type: ignore[arg-type]
    for name in (*visits, *companions):
        with pytest.raises(InvalidEventError, match="differ in length"):
            CoVisits(**{**rest, **visits, **companions, name: []})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("event", "key"),
    [
        (PdpView(**VIEW), "u"),
        (PdpView(**{**VIEW, "user_id": None, "session_id": "s"}), "s"),
        (ProductCreated(**PRODUCT), "P1"),
        (UserUpdated("u", 0), "u"),
        (RecommendationUpdated("similar", "a:b", 1, (), 0, "c", 0), "similar:a:b"),
    ],
)
def test_the_key_decides_who_owns_an_event(event: Any, key: str) -> None:
    assert key_of(event) == key
    check_key(event, key)
    with pytest.raises(InvalidEventError, match=f"the message key is 'x', but the event belongs under '{key}'"):
        check_key(event, "x")
