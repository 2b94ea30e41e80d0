"""The shop's pages over tables in memory, asked without a socket."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from storefront.shop.pictures import Pictures
from storefront.shop.rendering import Shop
from storefront.shop.settings import ShopSettings

if TYPE_CHECKING:
    import httpx

TOKEN = "0123456789abcdef"
SAME_SITE = {"Origin": "http://shop"}


class Pages:
    """One browser: keeps its cookies, and sends forms as one of the shop's own pages does."""

    def __init__(self, api: Any) -> None:
        self._api = api
        self.shop: Shop = api.app.state.shop

    def get(self, path: str, **options: Any) -> httpx.Response:
        response: httpx.Response = self._api.get(path, **options)
        return response

    def send(self, path: str, *, headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
        given = SAME_SITE if headers is None else headers
        response: httpx.Response = self._api.post(path, data=fields, headers=given)
        return response

    @property
    def subject(self) -> str:
        return str(self._api.client.cookies["shopper"])


@pytest.fixture
def images_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    (folder / "mugs").mkdir(parents=True)
    Image.new("RGB", (4, 4), "teal").save(folder / "mugs" / "a.jpg")
    return folder


@pytest.fixture
def pages(api: Any, shop: Any, images_dir: Path) -> Pages:
    """A shop with six mugs, ``a`` to ``f``, and lists of them."""
    settings = ShopSettings(shoppers=("anna",), page_length=4)
    api.app.state.shop = Shop(
        settings, api.edge.shelves, api.edge.publisher.publish, Pictures(images_dir, 1_000_000)
    )
    shop.products(*"abcdef")
    shop.listed("similar", "a", "b c")
    shop.listed("trending", "", "c d e", reason="trending")
    return Pages(api)
