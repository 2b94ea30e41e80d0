from __future__ import annotations

from typing import Any

import pytest

from schemas.codec import decode
from storefront.api.settings import ApiSettings

AUTHORISED = {"Authorization": "Bearer a-token-for-these-tests"}
WRITES = [("POST", "/products"), ("DELETE", "/products/p"), ("DELETE", "/users/u"), ("PUT", "/users/u/sessions/s")]


def test_a_product_is_published_whole(api: Any, fake_kafka: Any) -> None:
    mug = {"product_id": "p", "title": "Mug", "price": 9.5, "attributes": {"colour": "red"}}
    mug["other_image_urls"] = ["side.jpg"]
    assert api.post("/products", json=[mug, {"product_id": "q"}], headers=AUTHORISED).json() == {"accepted": 2}
    product = decode(fake_kafka.sent[0][0], fake_kafka.sent[0][2])
    assert (product.title, product.price, product.attributes) == ("Mug", 9.5, {"colour": "red"})  # type: ignore[union-attr]
    assert product.other_image_urls == ["side.jpg"]  # type: ignore[union-attr]


def test_products_are_retired_and_users_forgotten_by_null_values(api: Any, fake_kafka: Any) -> None:
    assert api.ask("DELETE", "/products/p", headers=AUTHORISED).status_code == 202
    assert api.ask("DELETE", "/users/u", headers=AUTHORISED).status_code == 202
    assert fake_kafka.sent == [("product-created", b"p", None), ("user-updated", b"u", None)]


def test_a_sign_in_goes_to_the_sessions_partition(api: Any, fake_kafka: Any) -> None:
    assert api.ask("PUT", "/users/u/sessions/s", headers=AUTHORISED).json() == {"accepted": 1}
    ((topic, key, value),) = fake_kafka.sent
    joined = decode(topic, value)
    assert (topic, key, joined.session_id, joined.user_id) == ("session-joined", b"s", "s", "u")  # type: ignore[union-attr]


@pytest.mark.parametrize(("method", "path"), WRITES)
@pytest.mark.parametrize("given", [{}, {"Authorization": "Bearer another"}, {"Authorization": "Basic eDp5"}])
def test_nothing_is_written_without_the_token(
    api: Any, fake_kafka: Any, method: str, path: str, given: dict[str, str]
) -> None:
    response = api.ask(method, path, headers=given, json={"product_id": "p"} if method == "POST" else None)
    assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
    assert fake_kafka.sent == []


class TestWithoutAToken:
    @pytest.fixture
    def api_settings(self) -> ApiSettings:
        return ApiSettings()

    @pytest.mark.parametrize(("method", "path"), WRITES)
    def test_the_answer_says_what_to_do(self, api: Any, method: str, path: str) -> None:
        response = api.ask(method, path, headers=AUTHORISED)
        assert response.status_code == 403
        assert "set RECSYS_API__TOKEN" in response.json()["detail"]


def test_a_token_that_is_easily_guessed_is_refused() -> None:
    with pytest.raises(ValueError, match="16 characters or more"):
        ApiSettings(token="secret")  # type: ignore[arg-type]
    assert ApiSettings(token="").token is None  # type: ignore[arg-type]
    assert "a-token" not in repr(ApiSettings(token="a-token-that-is-secret"))  # type: ignore[arg-type]


class TestRates:
    @pytest.fixture
    def api_settings(self) -> ApiSettings:
        return ApiSettings.model_validate(
            {"rates": {"reads_per_second": 1, "writes_per_second": 0.5, "burst_seconds": 2, "max_clients": 2}}
        )

    def test_too_many_requests_are_told_when_to_come_again(self, api: Any) -> None:
        assert [api.get("/shop/lists/popular").status_code for _ in range(3)] == [200, 200, 429]
        refused = api.get("/shop/lists/popular")
        assert (refused.headers["retry-after"], refused.headers["content-type"]) == (
            "1",
            "application/problem+json",
        )
        assert api.get("/live").status_code == 200
        assert api.post("/events", json=[]).status_code == 422
        assert api.post("/events", json=[]).status_code == 429
