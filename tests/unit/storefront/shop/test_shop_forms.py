"""Cart, buying and switching: counted once, from the shop's own pages alone, and nothing is lost."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.codec import decode
from schemas.events import CartAdd, Purchase

TOKEN = "0123456789abcdef"


def published(fake_kafka: Any) -> list[Any]:
    return [decode(topic, value) for topic, _, value in fake_kafka.sent]


def test_putting_into_the_cart_and_buying_are_events_of_the_shopper(pages: Any, fake_kafka: Any) -> None:
    pages.get("/")
    assert pages.send("/cart", product_id="a", token=TOKEN, quantity=2).status_code == 303
    assert "€20.00" in pages.get("/cart").text
    assert pages.send("/buy", token="f" * 32).headers["location"] == "/thanks"
    added, bought = published(fake_kafka)
    assert isinstance(added, CartAdd)
    assert (added.event_id, added.session_id, added.user_id) == (TOKEN, pages.subject, None)
    assert isinstance(bought, Purchase)
    assert (bought.product_id, bought.quantity, bought.unit_price) == ("a", 2.0, 10.0)
    assert "Mug a" in pages.get("/thanks").text
    assert "Your cart is empty" in pages.get("/cart").text


def test_a_form_that_is_sent_twice_counts_once(pages: Any, fake_kafka: Any) -> None:
    for _ in range(2):
        pages.send("/cart", product_id="a", token=TOKEN)
    for _ in range(2):
        assert pages.send("/buy", token="e" * 32).status_code == 303
    assert [type(event).__name__ for event in published(fake_kafka)] == ["CartAdd", "Purchase"]


@pytest.mark.parametrize(
    "headers",
    [{}, {"Origin": "https://elsewhere.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}],
)
@pytest.mark.parametrize("path", ["/cart", "/cart/change", "/buy", "/shopper"])
def test_forms_of_other_sites_are_refused(pages: Any, fake_kafka: Any, path: str, headers: dict[str, str]) -> None:
    fields = {"product_id": "a", "token": TOKEN, "quantity": 1, "subject": "anna"}
    assert pages.send(path, headers=headers, **fields).status_code == 403
    assert fake_kafka.sent == []


def test_what_cannot_be_bought_is_not_taken(pages: Any, shop: Any, fake_kafka: Any) -> None:
    shop.sold_out("a")
    for product_id in ("a", "unknown"):
        assert pages.send("/cart", product_id=product_id, token=TOKEN).status_code == 409
    assert pages.send("/buy", token=TOKEN).status_code == 409
    assert pages.send("/buy", token=TOKEN, product_id="a").status_code == 409
    assert fake_kafka.sent == []


def test_while_kafka_is_away_the_cart_stays_as_it_was(pages: Any, fake_kafka: Any) -> None:
    fake_kafka.answering = False
    answer = pages.send("/cart", product_id="a", token=TOKEN)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert "Your cart is empty" in pages.get("/cart").text
    fake_kafka.answering = True
    for future in fake_kafka.pending:
        future.succeed()
    assert pages.send("/cart", product_id="a", token=TOKEN).status_code == 303
    assert len(fake_kafka.sent) == 1, "tried again with the same event_id, it was written once"


def test_a_script_gets_an_answer_in_place_of_a_page(pages: Any) -> None:
    headers = {"Origin": "http://shop", "Accept": "application/json"}
    answer = pages.send("/cart", headers=headers, product_id="a", token=TOKEN)
    assert answer.json() == {"message": "Mug a is in the cart.", "pieces": 1, "event_ids": [TOKEN]}
    assert pages.send("/cart", headers=headers, product_id="unknown", token=TOKEN).status_code == 409


def test_quantities_are_changed_and_lines_taken_out(pages: Any) -> None:
    for product_id in "ab":
        pages.send("/cart", product_id=product_id, token=product_id * 16)
    pages.send("/cart/change", product_id="a", quantity=3)
    pages.send("/cart/change", product_id="b", quantity=0)
    pages.send("/cart/change", product_id="unknown", quantity=4)
    page = pages.get("/cart").text
    assert "€30.00" in page
    assert "Mug b" not in page.partition("Summary")[0]
    assert pages.send("/cart/change", product_id="a", quantity=100).status_code == 422


def test_after_the_cart_one_goes_on_within_the_shop(pages: Any) -> None:
    places = {"/product?id=a": "/product?id=a", "//else.example": "/cart", "https://else.example": "/cart"}
    for number, (back, place) in enumerate(places.items()):
        answer = pages.send("/cart", product_id="a", token=f"{number:016x}", back=back)
        assert answer.headers["location"] == place


def test_a_guest_who_goes_on_as_a_user_has_signed_in(pages: Any, fake_kafka: Any) -> None:
    pages.get("/")
    guest = pages.subject
    for subject in ("anna", "new-guest"):
        pages.send("/shopper", subject=subject)
    (joined,) = published(fake_kafka)
    assert (joined.session_id, joined.user_id) == (guest, "anna")


def test_shoppers_that_are_offered_can_be_switched_to(pages: Any) -> None:
    pages.get("/")
    guest = pages.subject
    pages.send("/cart", product_id="a", token=TOKEN)
    pages.send("/shopper", subject="anna")
    assert pages.subject == "anna"
    assert 'data-user="anna"' in pages.get("/").text
    assert "Your cart is empty" in pages.get("/cart").text
    pages.send("/shopper", subject="somebody")
    assert pages.subject == guest
    pages.send("/shopper", subject="new-guest")
    assert pages.subject not in (guest, "anna")


def test_a_cookie_that_says_nonsense_is_a_new_guest(pages: Any) -> None:
    for cookie in ("shopper=somebody; guest=anna", 'shopper=anna; guest="><script>', "guest=guest-" + "x" * 100):
        page = pages.get("/", headers={"Cookie": cookie})
        assert page.status_code == 200
        assert "<script>" not in page.text
        assert 'data-session="guest-x' not in page.text
