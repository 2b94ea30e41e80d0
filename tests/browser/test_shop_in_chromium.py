"""The shop as shoppers have it: a real browser, a real Kafka, every stage."""

from __future__ import annotations

import io
import statistics
import time
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image, ImageEnhance
from shop_in_browser import ARTEFACTS, DESKTOP, PHONE, LiveShop, until

from schemas.codec import decode
from schemas.topics import CLICK, IMPRESSION, Topic
from storefront.following import TopicFollower

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.timeout(240)]

Visit = Callable[..., Any]
SIZES = {"desktop": DESKTOP, "phone": PHONE}

FOR_YOU = "[data-kind=for-you] [data-cards]"
_SHOWN = "list => [...list.children].map(card => card.dataset.product)"
_NOTE_CHANGE = """list => {
    window.stayed = true;
    new MutationObserver(() => { window.changedAt ??= Date.now(); }).observe(list, { childList: true });
}"""
_NOTE_GONE = """gone => {
    const look = () => { if (!document.querySelector(gone)) window.goneAt ??= Date.now(); };
    new MutationObserver(look).observe(document.body, { childList: true, subtree: true });
}"""
_LOOKED_AT = "JSON.parse(sessionStorage.getItem('happened')).steps[0].at"
"""When the page sent the view, milliseconds since 1970, by the same clock."""


def product_page(product_id: str) -> str:
    return f"/product?id={product_id}"


def shown(page: Any, shelf: str) -> list[str]:
    found: list[str] = page.eval_on_selector(shelf, _SHOWN)
    return found


def live(page: Any) -> None:
    """Wait until the page follows the lists."""
    page.locator("[data-stream-state].live").wait_for(state="attached")


def test_for_you_changes_on_the_screen_within_a_second_of_a_look(visit: Visit, live_shop: LiveShop) -> None:
    took = []
    for product in live_shop.products[:5]:
        home = visit()
        home.goto("/")
        live(home)
        before = shown(home, FOR_YOU)
        home.eval_on_selector(FOR_YOU, _NOTE_CHANGE)
        looking = home.context.new_page()
        looking.goto(product_page(product.product_id))
        until(lambda page=home: page.evaluate("window.changedAt"), "the list to change on the screen", 10.0)
        assert home.evaluate("window.stayed")
        assert shown(home, FOR_YOU) != before
        took.append(home.evaluate("window.changedAt") - looking.evaluate(_LOOKED_AT))
        # The page that was looked at has the list too, and what it followed from.
        looking.locator(f"{FOR_YOU} .reason", has_text="because you viewed").first.wait_for()
        step = looking.locator(".step", has_text=f"You looked at {product.title}")
        step.locator(".took").first.wait_for()
        home.context.close()
    assert statistics.median(took) < 1_000, took


def test_putting_into_the_cart_needs_no_new_page(visit: Visit, live_shop: LiveShop) -> None:
    page = visit()
    page.goto(product_page(live_shop.products[3].product_id))
    live(page)
    page.evaluate("window.stayed = true")
    page.locator(".product [data-add] button").click()
    page.locator("[data-toast].shown").wait_for()
    page.locator(".product [data-add] button").click()
    page.locator("[data-pieces-number]", has_text="2").wait_for()
    assert page.evaluate("window.stayed")
    page.goto("/cart")
    assert page.locator(".line-item input[type=number]").input_value() == "2"


@pytest.mark.parametrize("number", [5, 20, 33])
def test_search_by_photo_finds_what_was_photographed(visit: Visit, live_shop: LiveShop, number: int) -> None:
    product = live_shop.products[number]
    assert product.image_url is not None
    page = visit()
    page.goto("/search")
    photo = photographed(Image.open(live_shop.images_dir / product.image_url))
    page.set_input_files("[data-file]", {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": photo})
    first = page.locator("[data-found] [data-product]").first
    first.wait_for()
    assert first.get_attribute("data-product") == product.product_id


def photographed(picture: Image.Image) -> bytes:
    """The picture as a camera would see it: larger, a little askew, another exposure, compressed."""
    askew = picture.convert("RGB").resize((900, 900)).rotate(3, fillcolor=(225, 222, 218))
    buffer = io.BytesIO()
    ImageEnhance.Brightness(askew).enhance(0.93).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


_DROP = """([drop, bytes]) => {
    const data = new DataTransfer();
    data.items.add(new File([new Uint8Array(bytes)], "photo.jpg", { type: "image/jpeg" }));
    drop.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: data }));
}"""


def test_a_photo_can_be_dropped_and_what_is_no_photo_is_said_so(visit: Visit, live_shop: LiveShop) -> None:
    product = live_shop.products[12]
    assert product.image_url is not None
    page = visit()
    page.goto("/search")
    photo = (live_shop.images_dir / product.image_url).read_bytes()
    drop = page.query_selector("[data-drop]")
    page.evaluate(_DROP, [drop, list(photo)])
    first = page.locator("[data-found] [data-product]").first
    first.wait_for()
    assert first.get_attribute("data-product") == product.product_id
    assert page.locator("[data-preview]").is_visible()
    page.screenshot(path=ARTEFACTS / "found-desktop.png")
    page.evaluate(_DROP, [drop, list(b"no photo at all")])
    page.locator("[data-problem]:not([hidden])", has_text="cannot be searched by").wait_for()
    visit.complaints.clear()  # type: ignore[attr-defined] - the browser notes the answer 422


def test_the_camera_takes_a_photo_to_search_by(visit: Visit) -> None:
    page = visit(**PHONE, permissions=["camera"])
    page.goto("/search")
    page.locator("[data-camera]").click()
    page.locator("[data-camera-dialog]").wait_for()
    until(lambda: page.evaluate("document.querySelector('[data-video]').videoWidth"), "the camera", 10.0)
    page.locator("[data-snap]").click()
    page.locator("[data-found] [data-product]").first.wait_for()
    assert not page.locator("[data-camera-dialog]").is_visible()
    page.screenshot(path=ARTEFACTS / "found-phone.png")


def test_what_came_into_sight_and_what_was_followed_are_told(visit: Visit, live_shop: LiveShop) -> None:
    page = visit()
    page.goto("/")
    live(page)
    guest = page.evaluate("document.body.dataset.subject")
    page.locator("[data-kind=trending]").scroll_into_view_if_needed()
    card = page.locator("[data-kind=trending] .card-link").first
    product_id = card.locator("..").get_attribute("data-product")
    page.wait_for_timeout(1_000)  # so long it has to be in sight before it counts
    card.click()
    page.wait_for_url("**/product?*")
    clicks, impressions = told(live_shop, CLICK, guest), told(live_shop, IMPRESSION, guest)
    assert [(click.product_id, click.kind, click.placement, click.rank) for click in clicks] == [
        (product_id, "trending", "home", 1)
    ]
    assert clicks[0].recommendation_id in {seen.recommendation_id for seen in impressions}
    assert product_id in {seen.product_id for seen in impressions}


def told(live_shop: LiveShop, topic: Topic, guest: str) -> list[Any]:
    """What a topic has of a guest, waiting for the first of it."""
    found: list[Any] = []
    with TopicFollower(live_shop.kafka, [topic]) as follower:

        def read() -> bool:
            events = [decode(topic.name, record.value or b"") for record in follower.poll(200)]
            found.extend(event for event in events if getattr(event, "session_id", None) == guest)
            return bool(found)

        until(read, f"{topic.name} of the guest", 20.0)
    return found


def test_search_by_photo_without_scripts(visit: Visit, live_shop: LiveShop) -> None:
    product = live_shop.products[8]
    assert product.image_url is not None
    page = visit(**DESKTOP, java_script_enabled=False)
    page.goto("/search")
    page.set_input_files("[data-file]", live_shop.images_dir / product.image_url)
    page.get_by_role("button", name="Search", exact=True).click()
    assert page.locator("[data-found] [data-product]").first.get_attribute("data-product") == product.product_id


def test_a_retired_product_vanishes_from_pages_that_show_it_within_a_second(
    visit: Visit, live_shop: LiveShop
) -> None:
    page, shelves = visit(), visit()
    took = []
    for retired in live_shop.products[-5:]:
        neighbour = live_shop.lists(kinds="similar", product=retired.product_id)[0]["items"][0]["product_id"]
        page.goto(f"/category?name={retired.category}")
        shelves.goto(product_page(neighbour))
        gone = f"[data-cards] [data-product='{retired.product_id}']"
        for shows in (page, shelves):
            assert shows.locator(gone).count() > 0
            live(shows)
            shows.evaluate(_NOTE_GONE, gone)
        live_shop.events.product_retired(retired.product_id)
        live_shop.events.flush()
        retired_at = 1_000 * time.time()
        for shows in (page, shelves):
            shows.locator(gone).first.wait_for(state="detached", timeout=10_000)
        took.append(max(shows.evaluate("window.goneAt") for shows in (page, shelves)) - retired_at)
        answer = page.goto(product_page(retired.product_id))
        assert answer.status == 404
        assert page.locator("h1").inner_text() == "Not here"
        assert page.locator(gone).count() == 0
    assert statistics.median(took) < 1_000, took


def test_from_home_to_a_purchase_by_keyboard_alone(visit: Visit) -> None:
    page = visit()
    page.goto("/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    tab_to(page, "[data-kind=trending] .card-link")
    page.keyboard.press("Enter")
    page.wait_for_url("**/product?*")
    title = page.locator("h1").inner_text()
    tab_to(page, ".product [data-add] button")
    page.keyboard.press("Enter")
    page.locator("[data-toast].shown").wait_for()
    tab_to(page, "a[href='/cart']", "Shift+Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/cart")
    assert title in page.locator(".line-item").inner_text()
    tab_to(page, "[data-buy] button")
    page.keyboard.press("Enter")
    page.wait_for_url("**/thanks")
    assert page.locator("h1").inner_text() == "Thank you for your order"


def tab_to(page: Any, selector: str, key: str = "Tab") -> None:
    """Press Tab until what is meant has the focus, and a ring that shows it."""
    for _ in range(200):
        page.keyboard.press(key)
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
            return
    raise AssertionError(f"{selector} cannot be reached with {key}")


@pytest.mark.parametrize("size", SIZES)
def test_pages_are_accessible_and_fit_the_screen(visit: Visit, live_shop: LiveShop, size: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = visit(**SIZES[size], reduced_motion="reduce")  # what fades in has no colour of its own yet
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    product = live_shop.products[7]
    places = {
        "home": "/",
        "category": f"/category?name={product.category}",
        "product": product_page(product.product_id),
        "search": "/search",
        "empty-cart": "/cart",
        "not-here": product_page("nothing"),
    }
    for name, place in places.items():
        page.goto(place)
        check(page, Axe(), f"{name}-{size}")
    page.goto(product_page(product.product_id))
    page.locator(".product [data-add] button").click()
    page.locator("[data-toast].shown").wait_for()
    if size == "phone":
        page.locator("[data-happened-open]").click()
    page.locator(".switch summary").click()
    check(page, Axe(), f"panel-and-switch-{size}")
    page.goto("/cart")
    check(page, Axe(), f"cart-{size}")
    page.locator("[data-buy] button").click()
    page.wait_for_url("**/thanks")
    check(page, Axe(), f"thanks-{size}")


def check(page: Any, axe: Any, name: str) -> None:
    """No serious violation, nothing wider than the screen, and a picture of it for people to look at."""
    live(page)
    page.screenshot(path=ARTEFACTS / f"{name}.png")
    found = axe.run(page).response["violations"]
    serious = [
        (violation["id"], [node["target"] for node in violation["nodes"]])
        for violation in found
        if violation["impact"] in ("serious", "critical")
    ]
    assert serious == [], name
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name


def test_it_works_without_scripts(visit: Visit, live_shop: LiveShop) -> None:
    page = visit(**DESKTOP, java_script_enabled=False)
    page.goto("/")
    assert page.locator("[data-kind=for-you] .card").count() > 3
    page.goto(product_page(live_shop.products[9].product_id))
    assert page.locator("[data-kind=similar] .card").count() > 3
    page.locator(".product [data-add] button").click()
    page.wait_for_url("**/cart")
    page.locator("input[type=number]").fill("3")
    page.get_by_role("button", name="Update").click()
    assert page.locator("[data-pieces-number]").inner_text() == "3"
    page.locator("[data-buy] button").click()
    assert page.locator("h1").inner_text() == "Thank you for your order"
    page.goto("/")
    assert live_shop.products[9].title in page.locator("[aria-labelledby=viewed]").inner_text()


def test_another_shopper_has_other_lists_and_another_cart(visit: Visit, live_shop: LiveShop) -> None:
    page = visit()
    page.goto(product_page(live_shop.products[11].product_id))
    page.locator(".product [data-add] button").click()
    page.locator("[data-pieces-number]", has_text="1").wait_for()
    as_guest = page.evaluate("document.body.dataset.subject")
    until(lambda: live_shop.lists(kinds="for-you", user=as_guest)[0]["items"], "the guest's list")
    page.locator(".switch summary").click()
    page.get_by_role("button", name="Shopper 1").click()
    page.locator(".switch summary", has_text="Shopper 1").wait_for()
    assert page.evaluate("document.body.dataset.subject") == "shopper-1"
    assert not page.locator("[data-pieces]").is_visible()
    page.locator(".switch summary").click()
    page.get_by_role("button", name="Guest").first.click()
    page.locator("[data-pieces-number]", has_text="1").wait_for()
    assert page.evaluate("document.body.dataset.subject") == as_guest
