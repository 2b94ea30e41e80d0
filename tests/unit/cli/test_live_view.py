from __future__ import annotations

import io
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from cli.live_model import FEED_INTERVAL_MS, FOCUS_IDLE_MS, LiveModel, Snapshot, StageRow, percentile
from cli.live_view import render, sparkline
from schemas.events import CartAdd, ListedProduct, PdpView, RecommendationUpdated
from storefront.dead_letters import DeadLetter
from storefront.lists import ListChange

START_MS = 1_700_000_000_000
STAGES = [
    StageRow("image-features", "ready", 0.0, 0),
    StageRow("similar-products", "starting", 0.0, None),
    StageRow("interactions", "ready", 20.0, 3),
    StageRow("item-neighbours", "restarting", 18.0, 0, restarts=2),
    StageRow("trending", "ready", 18.0, 0),
]


def view(number: int, user: str, product: str) -> PdpView:
    return PdpView(f"e{number}", START_MS, user, None, product)


def change(kind: str, subject: str, products: str, caused_at_ms: int) -> ListChange:
    items = [ListedProduct(p, 0.5, "because-viewed", "P1") for p in products.split()]
    after = RecommendationUpdated(kind, subject, 1, items, 0, "pdp-view/e1", caused_at_ms)
    return ListChange(kind, subject, None, after, caused_at_ms)


def snapshot(model: LiveModel, now_ms: int) -> Snapshot:
    return model.snapshot(now_ms, STAGES, {"similar": 320, "for-you": 12}, 320)


def screen(shown: Snapshot, size: tuple[int, int]) -> list[str]:
    width, height = size
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    names = {"P1": "Red mug", "P2": "Blue mug", "P3": "Old vase"}
    console.print(
        render(shown, lambda p: names.get(p, p), size, headline="a shop", hint="Ctrl-C stops everything")
    )
    return console.file.getvalue().rstrip("\n").split("\n")  # type: ignore[attr-defined, no-any-return]


@pytest.fixture
def busy() -> LiveModel:
    model = LiveModel(START_MS)
    model.event(view(1, "anna", "P1"), START_MS + 100)
    model.event(CartAdd("e2", START_MS, "anna", None, "P2"), START_MS + 1_200)
    model.change(change("for-you", "anna", "P2 P3", START_MS + 1_200), START_MS + 1_231)
    model.change(change("similar", "P1", "P2", START_MS + 1_000), START_MS + 2_000)
    return model


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (100, 32)])
def test_the_screen_fits_its_terminal(busy: LiveModel, size: tuple[int, int]) -> None:
    lines = screen(snapshot(busy, START_MS + 3_500), size)
    assert len(lines) <= size[1]
    assert all(len(line) <= size[0] for line in lines)
    text = "\n".join(lines)
    for said in (
        "a shop", "00:03", "31 ms", "following anna", "put into the cart Blue mug  ← viewed Red mug",
        "looks like Red mug", "320 similar", "Ctrl-C stops everything", "● similar-products", "↻2",
    ):  # fmt: skip
        assert said in text


def test_a_tall_terminal_shows_the_reasons(busy: LiveModel) -> None:
    assert any(
        "because you viewed Red mug" in line for line in screen(snapshot(busy, START_MS + 3_000), (120, 40))
    )


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_the_screen_before_anything_happened(size: tuple[int, int]) -> None:
    text = "\n".join(screen(LiveModel(START_MS).snapshot(START_MS, [], {}, 0), size))
    assert "waiting for the first shopper" in text


def test_a_dead_letter_is_counted_and_its_reason_shown(busy: LiveModel) -> None:
    busy.dead_letter(DeadLetter("product-created", 0, 1, "P9", "image-features", "not a picture"))
    text = "\n".join(screen(snapshot(busy, START_MS + 3_000), (80, 24)))
    assert "image-features: not a picture" in text


def test_rates_and_freshness_look_back_a_bounded_time(busy: LiveModel) -> None:
    now = snapshot(busy, START_MS + 3_000)
    assert (now.events, now.events_per_second, now.freshness_p50_ms) == (2, pytest.approx(0.4), 31)
    later = snapshot(busy, START_MS + 120_000)
    assert (later.events, later.events_per_second, later.freshness_p50_ms) == (2, 0.0, None)
    assert len(later.event_rates) == len(later.freshness_by_second_ms) == 60


def test_the_feed_goes_slowly_enough_to_read_and_no_kind_crowds_out_another() -> None:
    model = LiveModel(START_MS)
    for step in range(2_000):
        at_ms = START_MS + step * 20
        model.change(change("for-you", f"u{step}", "P1", at_ms), at_ms)
        if step % 40 == 0:
            model.change(change("trending", "", "P1", at_ms), at_ms + 10)
    shown = snapshot(model, START_MS + 40_000)
    assert shown.list_changes == 2_050
    assert len(shown.feed) < 40_000 / FEED_INTERVAL_MS
    kinds = [row.change.kind for row in shown.feed]
    assert min(kinds.count("for-you"), kinds.count("trending")) > 10


def test_the_focus_stays_while_the_shopper_is_active_and_then_moves_on() -> None:
    model = LiveModel(START_MS)

    def act(number: int, user: str, at_ms: int) -> None:
        model.event(view(number, user, "P1"), at_ms)
        model.change(change("for-you", user, "P2", at_ms), at_ms + 20)

    act(1, "anna", START_MS)
    assert snapshot(model, START_MS + 100).focus.subject == "anna"  # type: ignore[union-attr]
    for number in range(5):
        act(10 + number, "ben", START_MS + 200 + number)
    assert snapshot(model, START_MS + 1_000).focus.subject == "anna"  # type: ignore[union-attr]
    assert snapshot(model, START_MS + FOCUS_IDLE_MS + 1).focus.subject == "ben"  # type: ignore[union-attr]


def test_memory_is_bounded() -> None:
    model = LiveModel(START_MS)
    rng = random.Random(0)
    for step in range(6_000):
        at_ms = START_MS + step * 100
        user = f"u{rng.randrange(10**9)}"
        model.event(view(step, user, "P1"), at_ms)
        model.change(change("for-you", user, "P2", at_ms), at_ms)
    assert len(model._shoppers) <= 2_000
    assert len(model._feed) <= 60


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.01, 1))
def test_a_percentile_is_a_sample_that_its_share_does_not_exceed(samples: list[float], share: float) -> None:
    value = percentile(samples, share)
    assert value in samples
    assert sum(s <= value for s in samples) >= share * len(samples)  # type: ignore[operator]
    assert sum(s < value for s in samples) < share * len(samples)  # type: ignore[operator]


def test_percentiles_of_nothing() -> None:
    assert percentile([], 0.5) is None


def test_sparklines() -> None:
    assert sparkline([0, 1, 2, 4, 8], 4) == "▂▃▅█"
    assert sparkline([0.0, 8.0], 2) == " █"
    assert sparkline([0.0, 0.0], 2) == "  "
    assert sparkline([1.0], 0) == ""
