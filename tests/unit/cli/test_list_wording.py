from __future__ import annotations

import io
from datetime import datetime

import pytest
from rich.console import Console, RenderableType

from cli.absence import Facts, explain
from cli.watching import change_json, change_line, list_json, list_table
from consumers.runtime.records import Record
from schemas.codec import encode
from schemas.events import ListedProduct, ProductCreated, RecommendationUpdated
from storefront.dead_letters import DeadLetter, read_dead_letter
from storefront.lists import ListChange
from storefront.products import ProductTable
from storefront.wording import duration_text, list_name, printable, product_name, reason_text

AT_MS = 1_700_000_000_123


def printed(renderable: RenderableType, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(renderable)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def listed(
    *products: str, reason: str = "looks-like", because: str = "P1", revision: int = 1
) -> RecommendationUpdated:
    items = [ListedProduct(p, 0.5, reason, because) for p in products]
    kind, subject = ("similar", "P1") if reason == "looks-like" else ("for-you", "u1")
    return RecommendationUpdated(kind, subject, revision, items, 0, "pdp-view/e1", AT_MS - 31)


def catalogue(**titles: str) -> ProductTable:
    table = ProductTable()
    for product_id, title in titles.items():
        product = ProductCreated(product_id, 0, title=title, category="mugs")
        table.apply([Record("product-created", 0, 0, 0, product_id.encode(), encode(product), ())])
    return table


def test_a_changed_list_is_one_readable_line() -> None:
    change = ListChange("similar", "P1", listed("P2", "P3", "P4"), listed("P3", "P5", "P2", revision=2), AT_MS)
    line = change_line(change, catalogue(P1="Red mug", P3="Blue mug", P5="Old vase"), AT_MS).plain
    clock = datetime.fromtimestamp(AT_MS / 1000).astimezone().strftime("%H:%M:%S")
    assert line == (f"{clock}.123  looks like Red mug  +1 −1 ↕2  31 ms  Blue mug · Old vase · P2  ← pdp-view/e1")


def test_new_withdrawn_and_long_lists_say_so() -> None:
    products = catalogue()
    new = ListChange("similar", "P1", None, listed("a", "b", "c", "d", "e", "f"), AT_MS)
    assert "  new  31 ms  a · b · c · d +2 more  ←" in change_line(new, products, AT_MS).plain
    low = ListChange("similar", "P1", listed(*"abcdef"), listed(*"abcdxe", revision=2), AT_MS)
    assert "  a · b · c · d … x +1 more  ←" in change_line(low, products, AT_MS).plain
    gone = ListChange("similar", "P1", listed("a"), None, AT_MS)
    assert change_line(gone, products, AT_MS).plain.endswith("looks like P1  withdrawn")


def test_a_changed_list_as_json() -> None:
    change = ListChange("similar", "P1", listed("P2", "P3"), listed("P3", "P4", revision=2), AT_MS)
    assert change_json(change, AT_MS) == {
        "seen_at_ms": AT_MS,
        "kind": "similar",
        "subject": "P1",
        "withdrawn": False,
        "revision": 2,
        "products": ["P3", "P4"],
        "entered": ["P4"],
        "left": ["P2"],
        "moved": ["P3"],
        "freshness_ms": 31,
        "caused_by": "pdp-view/e1",
        "caused_at_ms": AT_MS - 31,
    }


def test_one_list_shows_rank_title_score_and_reason() -> None:
    products = catalogue(P1="Red mug", P2="[bold]Blue[/bold] mug")
    text = printed(list_table(listed("P2", "P3", reason="because-viewed"), products))
    assert "for u1" in text
    assert "[bold]Blue[/bold] mug" in text
    assert "because you viewed Red mug" in text
    assert "0.5" in text
    as_json = list_json(listed("P2"), products)
    assert as_json["items"] == [
        {
            "rank": 1,
            "product_id": "P2",
            "title": "[bold]Blue[/bold] mug",
            "category": "mugs",
            "score": 0.5,
            "reason": "looks-like",
            "because": "P1",
            "text": "looks like Red mug",
        }
    ]


def test_titles_are_left_out_where_the_shop_gives_none_and_the_subject_stands_in_for_the_reason() -> None:
    alone = RecommendationUpdated("similar", "P1", 1, [ListedProduct("P2", 0.5, "looks-like")], 0, "x/P1", AT_MS)
    text = printed(list_table(alone, catalogue(P1="")))
    assert "title" not in text
    assert "looks like mugs P1" in text


def test_a_list_without_products_says_so() -> None:
    assert "The list is empty." in printed(list_table(listed(), catalogue()))


@pytest.mark.parametrize(
    ("reason", "because", "text"),
    [
        ("looks-like", "P7", "looks like P7"),
        ("because-bought", "P7", "because you bought P7"),
        ("bought-together", "P7", "bought together with P7"),
        ("viewed-next", "", "viewed next"),
        ("trending", "", "trending now"),
        ("popular", "mugs", "popular in mugs"),
        ("of-a-later-version", "P7", "of-a-later-version P7"),
    ],
)
def test_reasons_read_as_a_shopper_would_read_them(reason: str, because: str, text: str) -> None:
    assert reason_text(ListedProduct("P1", 1.0, reason, because), lambda product_id: product_id) == text


def test_products_without_a_title_are_called_by_category_and_id() -> None:
    assert product_name("00003aeb", ProductCreated("00003aeb", 0, category="shirt")) == "shirt 00003aeb"
    assert product_name("x" * 40, None) == "x" * 11 + "…"


def test_list_names() -> None:
    assert list_name("trending", "", str) == "trending in the shop"
    assert list_name("popular", "mugs", str) == "popular in mugs"
    assert list_name("bought-together", "P1", str) == "bought with P1"


def test_what_a_terminal_would_obey_is_replaced() -> None:
    assert printable("mug\x1b[2J\n") == "mug·[2J·"
    assert product_name("P1", ProductCreated("P1", 0, title="\x1b[31mred")) == "·[31mred"


@pytest.mark.parametrize(
    ("duration_ms", "text"),
    [(0, "0 ms"), (31.4, "31 ms"), (1_234, "1.2 s"), (42_000, "42 s"), (240_000, "4 min"), (3 * 3_600_000, "3 h")],
)
def test_durations(duration_ms: float, text: str) -> None:
    assert duration_text(duration_ms) == text


REFUSED = DeadLetter("product-created", 0, 3, "P1", "image-features", "not a picture")


@pytest.mark.parametrize(
    ("kind", "facts", "says"),
    [
        ("similar", Facts(), "there is no similar list for P1: no such product was published"),
        ("similar", Facts(refused=REFUSED), "image-features refused a message on product-created: not a picture"),
        ("similar", Facts(retired=True), "the product was retired"),
        ("similar", Facts(product=ProductCreated("P1", 0)), "published without a picture"),
        ("similar", Facts(product=ProductCreated("P1", 0, image_url="a.png")), "has not been embedded yet"),
        (
            "similar",
            Facts(product=ProductCreated("P1", 0, image_url="a.png"), refused=REFUSED),
            "its picture could not be used; the dead letters say that image-features",
        ),
        ("similar", Facts(product=ProductCreated("P1", 0), has_feature=True), "no other product with a picture"),
        ("viewed-next", Facts(product=ProductCreated("P1", 0)), "nobody has viewed or bought it together"),
        ("for-you", Facts(), "no event of this user or session has been processed"),
        ("for-you", Facts(has_history=True), "their events are counted"),
        ("for-you", Facts(refused=REFUSED), "none of their events was processed"),
        ("trending", Facts(), "no shopper's event there has been processed yet"),
    ],
)
def test_why_there_is_no_list(kind: str, facts: Facts, says: str) -> None:
    assert says in explain(kind, "P1", facts)


def test_a_dead_letter_names_what_was_refused() -> None:
    said = {
        "topic": "pdp-view", "partition": "2", "offset": "41", "stage": "interactions",
        "exception.message": "the message key is 'a'",
    }  # fmt: skip
    headers = [("shop", b"x"), *((f"__connect.errors.{name}", text.encode()) for name, text in said.items())]
    letter = read_dead_letter(Record("dead-letter", 0, 0, 0, b"u1", b"...", headers))
    assert letter == DeadLetter("pdp-view", 2, 41, "u1", "interactions", "the message key is 'a'")
    assert read_dead_letter(Record("dead-letter", 0, 0, 0, b"u1", b"...", headers[:-1])) is None
    assert read_dead_letter(Record("pdp-view", 0, 0, 0, b"u1", b"...", headers)) is None
