from __future__ import annotations

from typing import Any

import pytest

from storefront.api.settings import ApiSettings


def test_the_script_is_three_kilobytes_and_any_page_may_load_it(api: Any) -> None:
    response = api.get("/recs.js")
    assert response.headers["content-type"] == "text/javascript; charset=utf-8"
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.content.startswith(b"(() => {")
    assert len(response.content) <= 3 * 1024


class TestOrigins:
    @pytest.fixture
    def api_settings(self) -> ApiSettings:
        return ApiSettings(allowed_origins=frozenset({"https://shop.example"}))

    def test_only_allowed_origins_may_ask(self, api: Any) -> None:
        for origin, allowed in (("https://shop.example", "https://shop.example"), ("https://other.example", None)):
            response = api.get("/shop/lists/popular", headers={"Origin": origin})
            assert response.headers.get("access-control-allow-origin") == allowed
