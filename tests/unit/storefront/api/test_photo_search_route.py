from __future__ import annotations

import dataclasses
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from consumers.image_features.errors import ImageAddressError, ImageUnreachableError, NotAnImageError


class FakeSearch:
    """Finds what it is told to, in order, as many as asked for."""

    def __init__(self) -> None:
        self.products: list[str] = []
        self.asked: list[tuple[bytes, int, str | None]] = []
        self.gate = threading.Event()
        self.gate.set()

    def search(self, image_bytes: bytes, n: int, category: str | None) -> Sequence[tuple[str, float]]:
        self.gate.wait(5)
        self.asked.append((image_bytes, n, category))
        if image_bytes == b"not a picture":
            raise NotAnImageError("not a picture that can be read")
        return [(product_id, 0.9) for product_id in self.products[:n]]


@pytest.fixture
def searched(api: Any, shop: Any) -> FakeSearch:
    fake = FakeSearch()
    shop.products("a", "b", "c")
    shop.products("s", category="sofas", price=500.0)

    def fetch(url: str) -> bytes:
        if "private" in url:
            raise ImageAddressError("private.example is on a private network")
        raise ImageUnreachableError("img.example answered 500")

    api.set_edge(dataclasses.replace(api.edge, image_search=fake, fetch_image=fetch))
    return fake


def found(response: Any) -> list[str]:
    assert response.status_code == 200, response.text
    return [item["product_id"] for item in response.json()["items"]]


def test_a_photo_is_taken_as_bytes_or_from_a_form(api: Any, searched: FakeSearch) -> None:
    searched.products = ["b", "gone", "a"]
    response = api.post("/search/image", content=b"jpeg", headers={"Content-Type": "image/jpeg"})
    assert found(response) == ["b", "a"]
    assert response.json()["items"][0]["title"] == "Mug b"
    assert found(api.post("/search/image", files={"image": ("photo.jpg", b"jpeg", "image/jpeg")})) == ["b", "a"]
    assert {asked[0] for asked in searched.asked} == {b"jpeg"}


def test_filters_look_further_where_too_few_pass(api: Any, searched: FakeSearch) -> None:
    searched.products = [*(["a", "b", "c"] * 8), "s"]
    response = api.post("/search/image?n=1&price_min=100", content=b"x", headers={"Content-Type": "image/png"})
    assert found(response) == ["s"]
    assert [asked[1] for asked in searched.asked] == [4, 2_000]
    api.post("/search/image?category=sofas", content=b"x", headers={"Content-Type": "image/png"})
    assert searched.asked[-1][2] == "sofas"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"content": b"not a picture", "headers": {"Content-Type": "image/png"}}, 422),
        ({"content": b"x", "headers": {"Content-Type": "text/plain"}}, 415),
        ({"content": b"x" * 10_100_000, "headers": {"Content-Type": "image/png"}}, 413),
        ({"json": {"image_url": "file:///etc/passwd"}}, 422),
        ({"json": {"image_url": "http://private.example/x.png"}}, 422),
        ({"json": {"image_url": "http://img.example/x.png"}}, 422),
        ({"json": ["http://img.example/x.png"]}, 422),
        ({"files": {"other": ("x", b"x", "image/png")}}, 422),
    ],
)
def test_what_is_no_photo_is_a_problem(
    api: Any, searched: FakeSearch, request_: dict[str, Any], status: int
) -> None:
    response = api.post("/search/image", **request_)
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")


def test_addresses_inside_the_network_are_not_fetched_for_a_stranger(api: Any) -> None:
    for url in ("http://127.0.0.1:9/x.png", "http://[::1]/x.png", "http://169.254.169.254/latest"):
        with pytest.raises(ImageAddressError):
            api.edge.fetch_image(url)
    with pytest.raises(ImageAddressError, match="images_dir is not set"):
        api.edge.fetch_image("/etc/passwd")


def test_without_an_index_the_answer_is_to_come_again(api: Any) -> None:
    assert api.post("/search/image", content=b"x", headers={"Content-Type": "image/png"}).status_code == 503
