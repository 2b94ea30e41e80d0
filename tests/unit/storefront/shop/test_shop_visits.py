"""What is remembered of shoppers is bounded."""

from __future__ import annotations

from storefront.shop.visits import MAX_CART_LINES, MAX_QUANTITY, Visits


def test_the_longest_unused_visit_is_forgotten_and_reading_inserts_nothing() -> None:
    visits = Visits(2)
    visits.get("nobody")
    assert len(visits) == 0
    for shopper in ("a", "b", "a", "c"):
        visits.change(shopper).add("p", 1)
    assert {shopper: visits.get(shopper).pieces for shopper in "abc"} == {"a": 2, "b": 0, "c": 1}


def test_carts_and_what_was_viewed_are_bounded() -> None:
    visit = Visits(1).change("a")
    for number in range(200):
        visit.view(f"p{number % 150}")
        visit.remember(f"t{number}")
        if visit.has_room(f"p{number}"):
            visit.add(f"p{number}", 60)
    assert (len(visit.cart), len(visit.viewed), len(visit.tokens)) == (MAX_CART_LINES, 12, 64)
    assert visit.viewed[0] == "p49"
    visit.add("p0", 60)
    assert visit.cart["p0"] == MAX_QUANTITY
    assert not visit.has_room("p0")


def test_a_view_again_moves_to_the_front() -> None:
    visit = Visits(1).change("a")
    for product_id in "abca":
        visit.view(product_id)
    assert visit.viewed == ["a", "c", "b"]
