"""What the pages show, and what they do not."""

from __future__ import annotations

import re
from typing import Any

import pytest

from schemas.events import ProductCreated


def shown(html: str, kind: str) -> list[str]:
    """The products of a shelf, in order."""
    shelf = re.search(rf'<section class="shelf" data-shelf data-kind="{kind}".*?</section>', html, re.DOTALL)
    assert shelf, kind
    return re.findall(r'data-product="([^"]*)"', shelf[0])


def test_home_shows_what_is_trending_and_a_newcomer_is_not_left_without(pages: Any) -> None:
    page = pages.get("/")
    assert page.status_code == 200
    assert shown(page.text, "trending")[:3] == ["c", "d", "e"]
    assert shown(page.text, "for-you")


def test_a_product_page_shows_its_lists_and_is_remembered(pages: Any) -> None:
    page = pages.get("/product?id=a")
    assert shown(page.text, "similar")[:2] == ["b", "c"]
    assert "a" not in shown(page.text, "similar")
    assert "<h1>Mug a</h1>" in page.text
    assert 'src="/images/mugs/a.jpg"' in page.text
    assert "Recently viewed" in pages.get("/").text


def test_what_is_retired_or_sold_out_is_not_shown(pages: Any, shop: Any) -> None:
    shop.retired("b")
    shop.sold_out("c")
    assert not {"b", "c"} & set(shown(pages.get("/product?id=a").text, "similar"))
    gone = pages.get("/product?id=b")
    assert gone.status_code == 404
    assert "no longer sold" in gone.text
    sold_out = pages.get("/product?id=c")
    assert sold_out.status_code == 200
    assert "Sold out" in sold_out.text


def test_a_category_is_shown_page_by_page(pages: Any) -> None:
    first, second = pages.get("/category?name=mugs"), pages.get("/category?name=mugs&page=2")
    assert "/category?name=mugs&amp;page=2" in first.text
    assert re.findall(r'data-product="(.)"', second.text) == ["b", "a"]
    assert pages.get("/category?name=nothing").status_code == 404
    assert pages.get("/category?name=mugs&page=9").status_code == 404


def test_what_a_shop_publishes_is_text_and_no_markup(pages: Any, shop: Any) -> None:
    wicked = '"><script>alert(1)</script>'
    shop.publish(ProductCreated(wicked, 1, wicked, wicked, 'javascript:"><script>', attributes={wicked: wicked}))
    for page in (pages.get("/product", params={"id": wicked}), pages.get("/category", params={"name": wicked})):
        assert page.status_code == 200
        assert "<script>alert" not in page.text
        assert 'src="javascript' not in page.text


def test_pages_carry_no_script_of_their_own_and_say_so(pages: Any) -> None:
    for path in ("/", "/product?id=a", "/category?name=mugs", "/cart", "/search", "/thanks"):
        page = pages.get(path)
        policy = page.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son[a-z]+=", page.text), path
        assert page.headers["x-content-type-options"] == "nosniff"


def test_a_page_says_when_its_lists_do_not_change(pages: Any, shop: Any) -> None:
    assert "do not change just now" not in pages.get("/").text, "nothing is known to be late while all is read in"
    shop.currency.current(1_000)
    assert "do not change just now" in pages.get("/").text


def test_a_shelf_can_be_had_alone_but_not_another_shoppers(pages: Any) -> None:
    pages.get("/")
    assert shown(pages.get("/shelf?kind=similar&subject=a").text, "similar")[:2] == ["b", "c"]
    assert shown(pages.get(f"/shelf?kind=for-you&subject={pages.subject}").text, "for-you")
    assert pages.get("/shelf?kind=for-you&subject=somebody").status_code == 404
    assert pages.get("/shelf?kind=nonsense").status_code == 404


def test_cards_keep_the_order_of_the_ids(pages: Any) -> None:
    cards = pages.get("/cards?id=c&id=unknown&id=a").text
    assert re.findall(r'<li class="card" data-product="([^"]*)"', cards) == ["c", "a"]


def test_scripts_and_styles_are_kept_by_browsers_for_as_long_as_they_are_the_same(pages: Any) -> None:
    address = re.search(r'href="(/assets/shop\.css\?v=[0-9a-f]+)"', pages.get("/").text)
    assert address
    style = pages.get(address[1])
    assert (style.status_code, style.headers["content-type"]) == (200, "text/css; charset=utf-8")
    assert "immutable" in style.headers["cache-control"]
    assert pages.get("/assets/shop.css").headers["cache-control"] == "no-cache"
    same = pages.get(address[1], headers={"If-None-Match": style.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    assert pages.get("/assets/..%2frendering.py").status_code == 404


@pytest.mark.parametrize("path", ["/product", "/product?id=", "/category?name=mugs&page=0", "/cards"])
def test_an_address_that_cannot_be_is_refused(pages: Any, path: str) -> None:
    assert pages.get(path).status_code == 422


@pytest.mark.parametrize("path", ["/no-such-page", "/category/mugs", "/favicon.ico"])
def test_an_unknown_address_is_a_page_with_shelves_for_people(shop: Any, pages: Any, path: str) -> None:
    shop.products("a", "b")
    answer = pages.get(path, headers={"Accept": "text/html,*/*;q=0.8"})
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
    assert "There is no page at this address." in answer.text
    assert 'data-product="a"' in answer.text
    assert pages.get(path).headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/products/a/nothing", "/lists/nothing", "/users"])
def test_an_unknown_address_of_the_api_stays_a_problem_document(pages: Any, path: str) -> None:
    answer = pages.get(path, headers={"Accept": "text/html"})
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_product_shows_its_further_pictures(shop: Any, pages: Any) -> None:
    assert "more-pictures" not in pages.get("/product?id=a").text
    shop.publish(ProductCreated("a", 2, "Mug", "mugs", "mugs/a.jpg", other_image_urls=["mugs/side of it.jpg"]))
    page = pages.get("/product?id=a").text
    assert '<img src="/images/mugs/side%20of%20it.jpg"' in page
    assert 'alt="Mug, picture 2"' in page
