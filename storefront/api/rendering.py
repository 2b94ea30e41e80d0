"""Shelves as the JSON of answers."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import orjson
from fastapi import Response

from schemas.events import ProductCreated, RecommendationUpdated
from storefront.shelves import Page, Shelf
from storefront.wording import product_name, reason_text

JSON = "application/json"
_HEADERS = {"Cache-Control": "no-store"}


def json_response(document: Any, status: int = 200) -> Response:
    """An answer that no cache keeps."""
    return Response(orjson.dumps(document), status, _HEADERS, media_type=JSON)


def recommendation_id(kind: str, subject: str, revision: int) -> str:
    """Names one revision of one list without naming its subject, who may be a person."""
    return f"{kind}.{revision}.{blake2b(subject.encode(errors='replace'), digest_size=4).hexdigest()}"


class Renderer:
    """Renders shelves; ``image_base_url`` is put before the pictures that the shop publishes as paths."""

    def __init__(self, image_base_url: str) -> None:
        self._image_base_url = image_base_url

    def answer(self, page: Page) -> dict[str, Any]:
        """The document of ``models.Answer``."""
        return {
            "stale": page.freshness.stale,
            "as_of_ms": page.freshness.as_of_ms,
            "lists": [self.shelf(shelf, page.products) for shelf in page.shelves],
        }

    def shelf(self, shelf: Shelf, products: Mapping[str, ProductCreated]) -> dict[str, Any]:
        """The document of ``models.Shelf``."""
        request, listed = shelf.request, shelf.listed
        found = None if listed is None else listed.recommendation
        revision = 0 if found is None else found.revision
        return {
            "kind": request.kind,
            "subject": request.subject,
            "recommendation_id": recommendation_id(request.kind, request.subject, revision),
            "revision": revision,
            "published_at_ms": 0 if listed is None else listed.published_at_ms,
            **_cause(found),
            "fallback": shelf.fallback,
            "variant": shelf.variant,
            "items": self._items(shelf, products),
        }

    def product(self, product: ProductCreated) -> dict[str, Any]:
        """What every product of an answer says of itself."""
        return {
            "title": product.title,
            "category": product.category,
            "price": product.price,
            "in_stock": product.in_stock,
            "image_url": self.image(product.image_url),
        }

    def image(self, url: str | None) -> str | None:
        """Where a picture is to be had."""
        if url is None or "://" in url:
            return url
        return self._image_base_url + url

    def _items(self, shelf: Shelf, products: Mapping[str, ProductCreated]) -> list[dict[str, Any]]:
        def name(product_id: str) -> str:
            return product_name(product_id, products.get(product_id))

        return [
            {
                "rank": rank,
                "product_id": item.product.product_id,
                "score": item.listed.score,
                "reason": item.listed.reason,
                "because": item.listed.because or item.about,
                "text": reason_text(item.listed, name, item.about),
                "rules": item.rules,
                **self.product(item.product),
            }
            for rank, item in enumerate(shelf.items, start=1)
        ]


def _cause(found: RecommendationUpdated | None) -> dict[str, Any]:
    if found is None:
        return {"event_time_ms": 0, "caused_by": "", "caused_at_ms": 0}
    return {
        "event_time_ms": found.event_time_ms,
        "caused_by": found.caused_by,
        "caused_at_ms": found.caused_at_ms,
    }
