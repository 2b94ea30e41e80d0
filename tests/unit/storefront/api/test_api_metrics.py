from __future__ import annotations

from typing import Any


def test_requests_are_counted_by_route_and_never_by_path(api: Any) -> None:
    for product in ("a", "b", "c"):
        api.get(f"/products/{product}/lists")
        api.get(f"/products/{product}")
    api.get("/nothing")
    api.post("/events", json={})
    registry = api.app.state.metrics.registry

    def counted(route: str, method: str, status: str) -> float | None:
        labels = {"route": route, "method": method, "status": status}
        found: float | None = registry.get_sample_value("recsys_api_requests_total", labels)
        return found

    assert counted("/products/{product_id}/lists", "GET", "200") == 3
    assert counted("/products/{product_id}", "GET", "404") == 3
    assert counted("none", "GET", "404") == 1
    assert counted("/events", "POST", "422") == 1
    assert registry.get_sample_value("recsys_api_request_seconds_count", {"route": "/events"}) == 1
