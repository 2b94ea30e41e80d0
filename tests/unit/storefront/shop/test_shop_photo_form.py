"""Search by photo for browsers without scripts."""

from __future__ import annotations

import re
from typing import Any

from consumers.image_features.errors import ImageError
from schemas.events import ProductCreated

PHOTO = {"image": ("photo.jpg", b"a photo", "image/jpeg")}


def test_a_photo_is_searched_by_and_what_is_wrong_with_it_is_said(pages: Any, api: Any) -> None:
    asked: list[bytes] = []

    async def find(photo: bytes) -> list[ProductCreated]:
        asked.append(photo)
        if not photo:
            raise ImageError("it is empty")
        return [ProductCreated("b", 1, "Mug b"), ProductCreated("a", 1, "Mug a")]

    pages.shop.find = find
    found = api.post("/search", files=PHOTO, headers={"Origin": "http://shop"})
    assert re.findall(r'<li class="card" data-product="([^"]*)"', found.text) == ["b", "a"]
    empty = api.post("/search", data={"image": "text"}, headers={"Origin": "http://shop"})
    assert empty.status_code == 422
    assert "cannot be searched by: it is empty" in empty.text
    assert asked == [b"a photo", b""]


def test_a_photo_that_another_site_sends_is_refused(pages: Any, api: Any) -> None:
    assert api.post("/search", files=PHOTO, headers={"Origin": "http://elsewhere"}).status_code == 403
