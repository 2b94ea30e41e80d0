"""Forgetting a user equals never having seen them: in every stage's state, and in every list."""

from __future__ import annotations

import pytest
from hypothesis import given
from whole_shop import Shop, Step, few, last_visits, steps_of

from consumers.runtime.records import Record
from schemas.topics import TOPICS


@few
@given(steps_of("uuvw"))
def test_forgetting_equals_never_having_seen_the_user(script: list[Step]) -> None:
    forgetful, innocent = Shop(), Shop()
    forgetful.play(script)
    forgetful.forget("u")
    innocent.play(script, but="u")
    for view in (Shop.histories, Shop.sessions):
        assert view(forgetful) == view(innocent)
    for sums in (Shop.rows, Shop.popularity):
        assert sums(forgetful) == {key: pytest.approx(value, abs=1e-6) for key, value in sums(innocent).items()}
    assert forgetful.outcomes.journey("u") is None
    assert forgetful.table("recommendation-outcomes").keys() == innocent.table("recommendation-outcomes").keys()
    for shop in (forgetful, innocent):
        shop.play(last_visits())
    assert forgetful.lists() == innocent.lists()


def test_nothing_that_is_published_says_who_was_forgotten() -> None:
    shop = Shop()
    shop.play([Step("u", "a", 0, "view", True), Step("u", "b", 0, "view", True), Step("v", "a", 0, "view", True)])
    shop.forget("u")
    assert not [topic for topic in TOPICS if said_of(shop, topic, "user-updated/u")]
    assert said_of(shop, "co-visits", "user-updated"), "the cause is the request alone"
    compacted = [name for name, topic in TOPICS.items() if topic.compacted]
    assert not any({b"u", b"for-you:u"} & shop.flow.log.table(name).keys() for name in compacted)


def said_of(shop: Shop, topic: str, text: str) -> list[Record]:
    return [one for one in shop.flow.log.records(topic) if one.value is not None and text.encode() in one.value]
