"""What is remembered of shoppers is bounded, and a form that is sent twice counts once."""

from __future__ import annotations

import asyncio

from storefront.shop.visits import MAX_CART_LINES, MAX_QUANTITY, MemoryVisits, Visit


def test_the_longest_unused_visit_is_forgotten_and_reading_inserts_nothing() -> None:
    visits = MemoryVisits(2)

    async def shop() -> dict[str, int]:
        await visits.get("nobody")
        assert len(visits) == 0
        for number, shopper in enumerate(("a", "b", "a", "c")):
            await visits.change(shopper, lambda visit, token=f"t{number}": visit.add("p", 1, token))
        return {shopper: (await visits.get(shopper)).pieces for shopper in "abc"}

    assert asyncio.run(shop()) == {"a": 2, "b": 0, "c": 1}


def test_carts_and_what_was_viewed_are_bounded() -> None:
    visit = Visit()
    for number in range(200):
        visit.view(f"p{number % 150}")
        visit.add(f"p{number}", 60, f"t{number}")
        visit.order({}, f"o{number}")
    assert (len(visit.cart), len(visit.viewed), len(visit.tokens)) == (MAX_CART_LINES, 12, 64)
    assert visit.viewed[0] == "p49"
    visit.add("p0", 60, "more")
    assert visit.cart["p0"] == MAX_QUANTITY
    assert not visit.has_room("p0")


def test_a_form_counts_once() -> None:
    visit = Visit()
    for _ in range(2):
        visit.add("p", 2, "t")
    assert visit.cart == {"p": 2}
    for _ in range(2):
        visit.order(visit.cart.copy(), "o")
    assert (visit.cart, visit.ordered) == ({}, {"p": 2})


def test_a_view_again_moves_to_the_front() -> None:
    visit = Visit()
    for product_id in "abca":
        visit.view(product_id)
    assert visit.viewed == ["a", "c", "b"]
