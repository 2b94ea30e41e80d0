from __future__ import annotations

import numpy as np

from consumers.runtime.records import Record
from recsys.neighbours.by_encoder import Feature
from schemas.codec import encode
from schemas.events import ImageFeature, ProductCreated
from storefront.features import FeatureTable


def record(topic: str, key: str, value: bytes | None) -> Record:
    return Record(topic, 0, 0, 0, key.encode(), value, ())


def test_the_topics_are_followed_and_what_cannot_be_read_is_left_out() -> None:
    vector = np.array([1, 0, 0, 0], np.float16)
    feature = encode(ImageFeature("a", 0, "e", bytes(32), "", vector.tobytes(), "product-created/a", 0))
    product = encode(ProductCreated("a", 0, category="hat"))
    table = FeatureTable()
    table.apply([record("image-features", "a", feature), record("image-features", "b", b"nothing")])
    table.apply([record("product-created", "a", product), record("product-created", "b", b"nothing")])
    table.apply([record("pdp-view", "a", b"")])
    assert [near.product_id for near in table.search(Feature("e", vector), 3, "hat")] == ["a"]
    assert (len(table), table.encoders()) == (1, {"e": 1})
    table.apply([record("image-features", "a", None)])
    assert (len(table), table.search(Feature("e", vector), 3)) == (0, [])
