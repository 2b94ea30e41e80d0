from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from consumers.runtime.records import Record
from schemas.codec import encode
from schemas.events import ListedProduct, ProductCreated, RecommendationUpdated
from storefront.lists import ListTable
from storefront.products import ProductTable


def a_list(
    subject: str, products: str, revision: int = 1, kind: str = "similar", caused_at_ms: int = 0
) -> RecommendationUpdated:
    items = [ListedProduct(p, 1.0 - rank / 100, "looks-like", subject) for rank, p in enumerate(products.split())]
    return RecommendationUpdated(kind, subject, revision, items, 0, "product-created/P", caused_at_ms)


def record(key: str, value: bytes | None, topic: str = "recommendation-updated", timestamp_ms: int = 0) -> Record:
    return Record(topic, 0, 0, timestamp_ms, key.encode(), value, ())


def written(recommendation: RecommendationUpdated, timestamp_ms: int = 0) -> Record:
    return record(recommendation.key, encode(recommendation), timestamp_ms=timestamp_ms)


def test_a_change_says_what_entered_left_and_moved() -> None:
    table = ListTable()
    table.apply([written(a_list("P", "a b c d"))])
    (change,) = table.apply([written(a_list("P", "a c b e", revision=2), timestamp_ms=7)])
    assert (change.kind, change.subject, change.published_at_ms) == ("similar", "P", 7)
    assert (change.entered, change.left, change.moved) == (["e"], ["d"], ["c", "b"])


def test_the_first_list_of_a_subject_has_entered_whole() -> None:
    (change,) = ListTable().apply([written(a_list("P", "a b"))])
    assert (change.before, change.entered, change.left, change.moved) == (None, ["a", "b"], [], [])


def test_an_older_revision_never_replaces_a_newer_one() -> None:
    table = ListTable()
    table.apply([written(a_list("P", "a b", revision=5))])
    assert table.apply([written(a_list("P", "x y", revision=4)), written(a_list("P", "a b", revision=5))]) == []
    assert [item.product_id for item in table.get("similar", "P").items] == ["a", "b"]  # type: ignore[union-attr]
    assert table.stale == 1


def test_a_tombstone_withdraws_and_the_list_may_begin_again() -> None:
    table = ListTable()
    table.apply([written(a_list("P", "a b", revision=5))])
    (change,) = table.apply([record("similar:P", None)])
    assert (change.after, change.left) == (None, ["a", "b"])
    assert table.get("similar", "P") is None
    assert len(table) == 0
    assert table.apply([record("similar:P", None)]) == []
    assert len(table.apply([written(a_list("P", "a", revision=1))])) == 1


def test_what_is_not_wanted_is_not_decoded() -> None:
    table = ListTable(wants=lambda key: key.startswith("similar:"))
    assert table.apply([record("for-you:u", b"rubbish"), written(a_list("P", "a"))])[0].subject == "P"
    assert table.unreadable == 0


def test_unreadable_and_misplaced_messages_change_nothing() -> None:
    table = ListTable()
    misplaced = record("similar:Q", encode(a_list("P", "a")))
    assert table.apply([record("similar:P", b"rubbish"), misplaced]) == []
    assert table.unreadable == 2


def test_a_subject_may_hold_colons_or_be_empty() -> None:
    table = ListTable()
    shop, odd = table.apply([written(a_list("", "a", kind="trending")), written(a_list("a:b", "c"))])
    assert (shop.kind, shop.subject, odd.kind, odd.subject) == ("trending", "", "similar", "a:b")


def test_memory_is_bounded_by_forgetting_what_changed_longest_ago() -> None:
    table = ListTable(max_lists=2)
    table.apply([written(a_list("P", "a")), written(a_list("Q", "a")), written(a_list("P", "b", revision=2))])
    table.apply([written(a_list("R", "a"))])
    assert table.get("similar", "Q") is None
    assert table.get("similar", "P") is not None
    assert table.counts == {"similar": 2}


@given(st.lists(st.tuples(st.sampled_from("PQR"), st.sampled_from(["similar", "for-you"]), st.booleans())))
def test_counts_are_those_of_the_lists(steps: list[tuple[str, str, bool]]) -> None:
    table = ListTable(max_lists=4)
    standing: dict[str, None] = {}
    for revision, (subject, kind, withdrawn) in enumerate(steps):
        key = f"{kind}:{subject}"
        standing.pop(key, None)
        if withdrawn:
            table.apply([record(key, None)])
        else:
            table.apply([written(a_list(subject, "a b", revision, kind))])
            standing[key] = None
            if len(standing) > 4:
                standing.pop(next(iter(standing)))
    counted = Counter(key.partition(":")[0] for key in standing)
    assert {kind: n for kind, n in table.counts.items() if n} == counted
    assert len(table) == len(standing)


def test_products_are_known_retired_or_unknown() -> None:
    products = ProductTable()
    mug = ProductCreated("P1", 0, title="Red mug", category="mugs")
    products.apply(
        [
            record("P1", encode(mug), "product-created"),
            record("P2", encode(ProductCreated("P2", 0)), "product-created"),
            record("P2", None, "product-created"),
            record("P3", b"rubbish", "product-created"),
            record("P4", b"of another topic", "image-features"),
        ]
    )
    assert products.get("P1") == mug
    assert products.title("P1") == "Red mug"
    assert (products.get("P2"), products.was_retired("P2"), products.title("P2")) == (None, True, "")
    assert not products.was_retired("P3")
    assert len(products) == 1
