"""What is known of products and shoppers, as features that others can share."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping

from schemas.events import ProductCreated

_WORD = re.compile(r"[^\s,;|/]+")
_MAX_WORDS = 20


def product_features(product: ProductCreated | None) -> list[str]:
    """Category, attributes and the band of the price, a factor of the square root of two wide."""
    if product is None:
        return []
    found = list(attribute_features(product.attributes))
    if product.category:
        found.append(f"category={product.category}")
    if product.price:
        found.append(f"price~{round(2.0 * math.log2(product.price))}")
    return found


def attribute_features(attributes: Mapping[str, str]) -> Iterator[str]:
    """Each attribute's value; the decade of a short number, the beginnings of a long one, the words of a text."""
    for name, value in attributes.items():
        if not value:
            continue
        yield f"{name}={value}"
        if value.isascii() and value.isdigit():
            if len(value) < 4:
                yield f"{name}~{int(value) // 10}"
            else:
                yield from (f"{name}^{value[:length]}" for length in (1, 2, 3))
        else:
            words = _WORD.findall(value)[:_MAX_WORDS]
            if len(words) > 1:
                yield from (f"{name}:{word}" for word in dict.fromkeys(words))
