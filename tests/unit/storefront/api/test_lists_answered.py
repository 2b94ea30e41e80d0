from __future__ import annotations

from typing import Any

import pytest


def answer(api: Any, path: str, **params: Any) -> dict[str, Any]:
    response = api.get(path, params=params)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def ids(shelf: dict[str, Any]) -> list[str]:
    return [item["product_id"] for item in shelf["items"]]


@pytest.fixture(autouse=True)
def full_shop(shop: Any) -> None:
    shop.products("a", "b", "c", "d", "e")
    shop.products("s1", "s2", category="sofas", price=500.0)
    shop.listed("similar", "a", "b c d")
    shop.listed("viewed-next", "a", "c s1", reason="viewed-next")
    shop.listed("for-you", "u", "b s1", reason="because-viewed")
    shop.listed("popular", "mugs", "e d", reason="popular")
    shop.listed("popular", "", "s1 e", reason="popular")


def test_a_product_page_gets_its_three_lists_in_one_call(api: Any) -> None:
    found = answer(api, "/products/a/lists", n=3)
    assert [shelf["kind"] for shelf in found["lists"]] == ["similar", "viewed-next", "bought-together"]
    similar = found["lists"][0]
    assert ids(similar) == ["b", "c", "d"]
    first = similar["items"][0]
    assert (first["rank"], first["score"], first["text"]) == (1, 1.0, "looks like Mug a")
    assert (first["title"], first["category"], first["price"]) == ("Mug b", "mugs", 10.0)
    assert similar["recommendation_id"].startswith("similar.1.")
    assert (similar["caused_by"], similar["published_at_ms"]) == ("pdp-view/e1", 1_000)


def test_a_short_list_is_filled_up_and_says_so(api: Any) -> None:
    shelf = answer(api, "/products/a/lists/viewed-next", n=4)["lists"][0]
    assert ids(shelf) == ["c", "s1", "e", "d"]
    assert shelf["fallback"] == "popular"
    assert shelf["items"][2]["text"] == "popular in mugs"
    assert ids(answer(api, "/products/a/lists/viewed-next", n=4, fill=False)["lists"][0]) == ["c", "s1"]


def test_no_shelf_is_empty_while_the_shop_has_products(api: Any) -> None:
    for path in (
        "/products/unknown/lists",
        "/users/none/lists",
        "/sessions/unknown/lists",
        "/shop/lists/trending",
    ):
        for shelf in answer(api, path)["lists"]:
            assert shelf["items"], path


def test_what_fills_up_stands_on_one_shelf_alone(api: Any) -> None:
    shelves = answer(api, "/products/unknown/lists", n=2)["lists"]
    shown = [product_id for shelf in shelves for product_id in ids(shelf)]
    assert len(shown) == len(set(shown)) == 6


@pytest.mark.parametrize(
    "path", ["/products/a/lists/similar", "/users/u/lists?kinds=for-you", "/shop/lists/popular"]
)
def test_retired_and_sold_out_products_vanish_from_lists_published_before(api: Any, shop: Any, path: str) -> None:
    gone = ids(answer(api, path)["lists"][0])[:2]
    shop.retired(gone[0])
    shop.sold_out(gone[1])
    assert not set(gone) & set(ids(answer(api, path)["lists"][0]))


def test_filters_hold_for_lists_and_for_what_fills_them_up(api: Any) -> None:
    assert ids(answer(api, "/users/u/lists", kinds="for-you", category="mugs")["lists"][0])[0] == "b"
    dear = answer(api, "/users/u/lists", kinds="for-you", price_min=100)["lists"][0]
    assert ids(dear) == ["s1", "s2"]
    cheap = answer(api, "/users/u/lists", kinds="for-you", price_max=100, exclude=["b", "e"])["lists"][0]
    assert set(ids(cheap)) == {"a", "c", "d"}


def test_sold_out_products_are_shown_only_on_demand(api: Any, shop: Any) -> None:
    shop.sold_out("b")
    assert "b" in ids(answer(api, "/products/a/lists/similar", in_stock=False)["lists"][0])


def test_diversity_lets_categories_take_turns(api: Any, shop: Any) -> None:
    shop.listed("for-you", "v", "a b c s1", reason="because-viewed")
    assert ids(answer(api, "/users/v/lists", kinds="for-you", n=3)["lists"][0]) == ["a", "b", "c"]
    assert ids(answer(api, "/users/v/lists", kinds="for-you", n=3, diversity=0.6)["lists"][0]) == ["a", "s1", "b"]


def test_several_kinds_come_in_one_call_in_the_order_asked_for(api: Any) -> None:
    found = answer(
        api, "/lists", kinds="popular,for-you,similar", product="a", user="u", about_category="mugs", n=2
    )
    assert [ids(shelf) for shelf in found["lists"]] == [["e", "d"], ["b", "s1"], ["b", "c"]]


@pytest.mark.parametrize(
    ("params", "detail"),
    [
        ({"kinds": "similar"}, "similar is a list of a product; give product="),
        ({"kinds": "for-you"}, "for-you is a list of a shopper; give user= or session="),
    ],
)
def test_a_list_without_a_subject_is_refused(api: Any, params: dict[str, str], detail: str) -> None:
    response = api.get("/lists", params=params)
    assert (response.status_code, response.json()["detail"]) == (422, detail)


@pytest.mark.parametrize("query", ["n=0", "n=51", "kinds=nonsense", "price_min=nan", "diversity=2", "nn=3"])
def test_what_cannot_be_is_a_problem_that_names_it(api: Any, query: str) -> None:
    response = api.get(f"/products/a/lists?{query}")
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["errors"][0]["where"] == "query." + query.partition("=")[0]


def test_answers_say_whether_they_are_stale(api: Any, shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert answer(api, "/shop/lists/popular")["stale"]
    assert api.get("/ready").status_code == 503
    monkeypatch.setattr("time.time_ns", lambda: 10_000_000_000)
    shop.currency.current(10_000)
    assert answer(api, "/shop/lists/popular") | {"lists": []} == {"stale": False, "as_of_ms": 10_000, "lists": []}
    assert api.get("/ready").json() == {"ready": True, "stale": False, "as_of_ms": 10_000}
    monkeypatch.setattr("time.time_ns", lambda: 15_001_000_000)
    assert answer(api, "/shop/lists/popular")["stale"]
    assert api.get("/ready").status_code == 200


def test_a_product_is_described_until_it_is_retired(api: Any, shop: Any) -> None:
    assert answer(api, "/products/a")["title"] == "Mug a"
    shop.retired("a")
    assert api.get("/products/a").status_code == 404


def test_unknown_paths_and_methods_are_problems_too(api: Any) -> None:
    assert api.get("/nothing").headers["content-type"] == "application/problem+json"
    refused = api.ask("PUT", "/events")
    assert (refused.status_code, refused.json()["title"]) == (405, "Method Not Allowed")
    assert "POST" in refused.headers["allow"]
