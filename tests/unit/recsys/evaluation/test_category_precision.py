from __future__ import annotations

import pytest

from recsys.evaluation.category_precision import category_precision

CATEGORIES = {"a": "shirt", "b": "shirt", "c": "hat", "d": ""}


def test_it_is_the_share_of_places_that_the_same_category_fills() -> None:
    lists = {"a": ["b", "c", "b"], "b": ["c", "d"]}
    assert category_precision(["a", "b"], lists, CATEGORIES, 2) == (2, 2, 0.25)


def test_empty_places_and_products_without_a_list_count_as_misses() -> None:
    assert category_precision(["a", "b"], {"a": ["b"]}, CATEGORIES, 2) == (2, 2, 0.25)


def test_products_without_a_category_are_no_queries() -> None:
    assert category_precision(["a", "d"], {"a": ["b"], "d": ["d"]}, CATEGORIES, 1) == (1, 1, 1.0)
    assert category_precision(["d"], {}, CATEGORIES, 1) == (1, 0, 0.0)


def test_k_is_at_least_one() -> None:
    with pytest.raises(ValueError, match="k is 0; give at least 1"):
        category_precision([], {}, {}, 0)
