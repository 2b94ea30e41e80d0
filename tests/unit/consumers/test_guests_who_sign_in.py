"""What a guest did before they signed in is the user's: as if it had been the user's from the beginning."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from whole_shop import EPOCH_MS, GUEST, Shop, Step, few, last_visits, steps_of

from schemas.codec import decode
from schemas.events import PdpView, SessionHistory, SessionJoined


@few
@given(steps_of("ussvw"), st.booleans())
def test_signing_in_equals_having_been_the_user_from_the_beginning(
    script: list[Step], is_told_twice: bool
) -> None:
    joined, known = Shop(), Shop()
    joined.play(script)
    for _ in range(2 if is_told_twice else 1):
        joined.sign_in("u")
    known.play([step._replace(user="u") if step.user == GUEST else step for step in script])
    for view in (Shop.histories, Shop.sessions):
        assert view(joined) == view(known)
    for sums in (Shop.rows, Shop.popularity):
        assert sums(joined) == {key: pytest.approx(value, abs=1e-6) for key, value in sums(known).items()}
    for shop in (joined, known):
        shop.play([*last_visits(), Step("u", "a", 4, "view", True)])
    assert joined.lists() == known.lists()


def a_guest(shop: Shop, *product_ids: str) -> None:
    shop.play([Step(GUEST, product_id, 0, "view", True) for product_id in product_ids])


def visited(shop: Shop) -> dict[str, str]:
    return {key: "".join(map(str, columns[1])) for key, columns in shop.histories().items()}


def test_the_guests_list_goes_and_the_users_comes() -> None:
    shop = Shop()
    shop.play([Step("v", "a", 0, "view", True), Step("v", "b", 0, "view", True)])
    a_guest(shop, "a")
    assert "for-you:s" in shop.lists()
    shop.sign_in("u")
    assert "for-you:s" not in shop.lists()
    assert "for-you:u" in shop.lists()


@pytest.mark.parametrize("restarted", [False, True])
def test_an_event_from_before_that_is_read_after_it_goes_along(restarted: bool) -> None:
    shop = Shop()
    a_guest(shop, "a")
    shop.flow.log.now_ms += 10
    shop.sign_in("u")
    if restarted:
        shop.flow.log.fail_next_commit("before")
        shop.play([Step("v", "a", 0, "view", True)])
    shop.flow.log.now_ms -= 5
    shop.flow.publish([PdpView("late", EPOCH_MS, None, GUEST, "b")])
    shop.flow.log.now_ms += 10
    shop.flow.run_until_quiet()
    assert visited(shop)["u"] == "ab"
    assert GUEST not in visited(shop)


def test_a_guest_who_comes_back_begins_anew() -> None:
    shop = Shop()
    a_guest(shop, "a")
    shop.sign_in("u")
    shop.flow.log.now_ms += 10
    shop.flow.publish([PdpView("again", EPOCH_MS, None, GUEST, "b")])
    shop.flow.run_until_quiet()
    assert visited(shop) == {"u": "a", GUEST: "b"}


def test_a_user_who_is_forgotten_meanwhile_gets_nothing_of_it() -> None:
    shop = Shop()
    a_guest(shop, "a")
    shop.flow.publish([SessionJoined(GUEST, "u", EPOCH_MS)])
    shop.flow.log.now_ms += 10
    shop.flow.log.append("user-updated", b"u", None)
    shop.flow.run_until_quiet()
    assert visited(shop) == {}
    sent = [decode("session-history", record.value or b"") for record in shop.flow.log.records("session-history")]
    assert [(one.session_id, one.product_ids) for one in sent if isinstance(one, SessionHistory)] == [("s", ["a"])]
    assert shop.flow.outcomes("interactions")["session-history", "forgotten"] == 1


def test_a_sign_in_that_is_told_late_changes_nothing_more() -> None:
    shop = Shop()
    shop.sign_in("u")
    assert visited(shop) == {}
    assert not shop.flow.log.records("session-history")
