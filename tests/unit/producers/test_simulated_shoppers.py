from __future__ import annotations

from collections import Counter, defaultdict
from itertools import islice, pairwise

import pytest

from producers.publications import ProductRetired
from producers.rendered_catalogue import planned_products
from producers.simulate import Assortment, Behaviour, Shoppers
from schemas.errors import ConfigurationError
from schemas.events import CartAdd, Interaction, PdpView, ProductCreated, Purchase

START_MS = 1_700_000_000_000


def products(n: int = 140) -> list[ProductCreated]:
    return [
        ProductCreated(
            item.product_id,
            START_MS,
            item.title,
            item.category,
            attributes={"colour": item.colour, "pattern": item.pattern},
        )
        for item in planned_products(n)
    ]


def test_the_same_seed_does_the_same_and_another_does_not() -> None:
    def play(seed: int) -> list[Interaction]:
        return list(Shoppers(products(), 50, seed).events(300, START_MS))

    assert play(1) == play(1)
    assert play(1) != play(2)


def test_without_an_end_it_begins_like_any_other() -> None:
    endless = Shoppers(products(), 50).events(None, START_MS)
    assert list(islice(endless, 200)) == list(Shoppers(products(), 50).events(200, START_MS))


def test_events_are_valid_in_time_order_and_at_the_rate() -> None:
    known = {product.product_id for product in products()}
    behaviour = Behaviour(events_per_second=50, guest_share=0.2)
    events = list(Shoppers(products(), 100, behaviour=behaviour).events(5_000, START_MS))
    assert len({event.event_id for event in events}) == 5_000
    times = [event.event_time_ms for event in events]
    assert times == sorted(times)
    assert times[0] >= START_MS
    assert (times[-1] - START_MS) / 1000 == pytest.approx(5_000 / 50, rel=0.1)
    assert {event.product_id for event in events} <= known
    sessions = {event.session_id: event.user_id for event in events}
    assert sum(user is None for user in sessions.values()) / len(sessions) == pytest.approx(0.2, abs=0.06)
    counts = Counter(type(event) for event in events)
    assert counts[PdpView] > counts[CartAdd] > counts[Purchase] > 50


def test_what_is_bought_was_in_the_cart_and_what_is_in_the_cart_was_viewed() -> None:
    seen: dict[type[Interaction], set[tuple[str | None, str]]] = defaultdict(set)
    for event in Shoppers(products(), 100).events(5_000, START_MS):
        visit = (event.session_id, event.product_id)
        if isinstance(event, Purchase):
            assert visit in seen[CartAdd]
        if isinstance(event, CartAdd):
            assert visit in seen[PdpView]
        seen[type(event)].add(visit)


def test_there_is_something_to_learn() -> None:
    """What was viewed next before foretells what is viewed next better than what is viewed most."""
    views = [e for e in Shoppers(products(), 200).events(20_000, START_MS) if isinstance(e, PdpView)]
    sessions: dict[str | None, list[str]] = defaultdict(list)
    for view in views:
        sessions[view.session_id].append(view.product_id)
    pairs = [pair for session in sessions.values() for pair in pairwise(session)]
    train, test = pairs[:-2_000], pairs[-2_000:]
    followers: dict[str, Counter[str]] = defaultdict(Counter)
    for here, there in train:
        followers[here][there] += 1
    next_best = {here: {p for p, _ in counts.most_common(10)} for here, counts in followers.items()}
    popular = {p for p, _ in Counter(there for _, there in train).most_common(10)}
    learnt = sum(there in next_best.get(here, ()) for here, there in test) / len(test)
    unlearnt = sum(there in popular for _, there in test) / len(test)
    assert learnt > 0.5
    assert learnt > 2 * unlearnt


def test_shoppers_have_tastes_that_last() -> None:
    """A user's later views are of the categories of the earlier ones far more often than another user's are."""
    category = {product.product_id: product.category for product in products()}
    views: dict[str, list[str]] = defaultdict(list)
    for event in Shoppers(products(), 60).events(12_000, START_MS):
        if isinstance(event, PdpView) and event.user_id is not None:
            views[event.user_id].append(category[event.product_id])
    halves = [(set(seen[: len(seen) // 2]), seen[len(seen) // 2 :]) for seen in views.values()]
    own = [c in early for early, late in halves for c in late]
    others = [c in early for (early, _), (_, late) in pairwise(halves) for c in late]
    assert sum(own) / len(own) > 0.95
    assert sum(others) / len(others) < 0.5


def test_a_launched_product_is_found_and_a_retired_one_no_more() -> None:
    shoppers = Shoppers(products(28), 30)
    assert any(shoppers.events(500, START_MS))
    new = ProductCreated("new", START_MS, category="mugs")
    shoppers.launch(new)
    retired = shoppers.retire_one()
    assert isinstance(retired, ProductRetired)
    seen = {event.product_id for event in shoppers.events(5_000, START_MS)}
    assert "new" in seen
    assert retired.product_id not in seen


def test_a_shelf_is_never_emptied() -> None:
    shoppers = Shoppers([ProductCreated("a", 0, category="x"), ProductCreated("b", 0, category="x")])
    assert shoppers.retire_one() is not None
    assert shoppers.retire_one() is None
    assert len(list(shoppers.events(50, START_MS))) == 50


def test_products_alike_are_neighbours() -> None:
    looks = [("1", "red", "plain"), ("2", "blue", "dotted"), ("3", "red", "plain"), ("4", "green", "checked")]
    assortment = Assortment(
        [ProductCreated(i, 0, category="mugs", attributes={"colour": c, "pattern": p}) for i, c, p in looks]
        + [ProductCreated("5", 0, category="hats", attributes={"colour": "red", "pattern": "plain"})]
    )
    assert assortment.neighbours("1")[0] == "3"
    assert set(assortment.neighbours("1")) == {"2", "3", "4"}
    assert assortment.neighbours("5") == []
    assortment.remove("3")
    assert set(assortment.neighbours("1")) == {"2", "4"}
    assert "3" not in assortment
    assert len(assortment) == 4


def test_a_simulation_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="at least one product and one shopper"):
        Shoppers([])
    with pytest.raises(ConfigurationError, match="events_per_second is 0; give a number above 0"):
        Behaviour(events_per_second=0)
    with pytest.raises(ConfigurationError, match="have to be at least 1"):
        Behaviour(open_sessions=0)
