from __future__ import annotations

import pytest

from consumers.runtime.dead_letters import dead_letter
from consumers.runtime.records import Record
from schemas.codec import encode, topic_of
from schemas.events import (
    Event,
    ListedProduct,
    PdpView,
    ProductCreated,
    RecommendationOutcome,
    RecommendationUpdated,
    SessionJoined,
    UserHistory,
    UserUpdated,
)
from schemas.keys import key_of
from schemas.topics import INTERACTION_STATE, RECOMMENDATION_OUTCOMES, RECOMMENDATION_UPDATED, TOPICS
from storefront.traces import Held, Traces

HISTORY = UserHistory("7", [1], [2], ["p"], [0], [1.0], ["q"], 1)


def record(event: Event, at_ms: int = 5) -> Record:
    return Record(topic_of(event).name, 0, 0, at_ms, key_of(event).encode(), encode(event), ())


def tombstone(topic: str, key: str, at_ms: int = 9) -> Record:
    return Record(topic, 0, 0, at_ms, key.encode(), None, ())


def a_list(kind: str, subject: str, caused_by: str = "pdp-view/e") -> RecommendationUpdated:
    return RecommendationUpdated(kind, subject, 1, [ListedProduct("p", 0.5, "trending")], 1, caused_by, 1)


def outcome(event_id: str, subject: str) -> RecommendationOutcome:
    return RecommendationOutcome(event_id, subject, "click", 1, "r", "similar", "pdp", "", 1, "p", 0.0, 0.0, 9, 9)


def traces_of(*records: Record) -> Traces:
    traces = Traces("7")
    traces.take(records)
    return traces


def test_a_sign_in_under_a_guests_key_is_a_trace_of_the_user() -> None:
    traces = traces_of(record(SessionJoined("s", "7", 1)), record(SessionJoined("s", "8", 1)))
    assert [(one.topic.name, one.passing) for one in traces.held({})] == [("session-joined", 1)]


def test_values_stand_until_they_are_withdrawn() -> None:
    traces = traces_of(record(HISTORY), record(HISTORY), record(outcome("e1", "7")), record(outcome("e2", "8")))
    assert traces.standing(INTERACTION_STATE) == [b"7"]
    assert traces.standing(RECOMMENDATION_OUTCOMES) == [b"e1"]
    traces.take([tombstone("interaction-state", "7"), tombstone("recommendation-outcomes", "e1")])
    configs = {"interaction-state": {"max.compaction.lag.ms": "100"}}
    assert traces.held(configs) == [
        Held(INTERACTION_STATE, 0, 2, 109),
        Held(RECOMMENDATION_OUTCOMES, 0, 1, None),
    ]


def test_events_go_with_their_topics_retention() -> None:
    traces = traces_of(record(PdpView("e", 1, "7", None, "p"), 1_000), record(PdpView("e", 1, None, "s", "7")))
    configs = {"pdp-view": {"retention.ms": "500", "segment.ms": "20"}}
    assert traces.held(configs) == [Held(TOPICS["pdp-view"], 0, 1, 1_520)]


@pytest.mark.parametrize(
    ("event", "count"),
    [
        (a_list("for-you", "7"), 1),
        (a_list("similar", "7"), 0),  # a product of the same id
        (a_list("trending", "", "user-updated/7"), 1),
        (a_list("trending", "", "product-created/7"), 0),
        (UserUpdated("7", 1), 1),
        (ProductCreated("7", 1), 0),
    ],
)
def test_ids_of_other_things_are_no_trace_of_a_user(event: Event, count: int) -> None:
    assert sum(one.standing for one in traces_of(record(event)).held({})) == count


@pytest.mark.parametrize(("event", "count"), [(PdpView("e", 1, "7", None, "p"), 1), (ProductCreated("7", 1), 0)])
def test_a_dead_letter_is_a_users_where_the_refused_message_was(event: Event, count: int) -> None:
    letter = dead_letter(record(event), ValueError("no"), "interactions")
    assert letter.key is not None
    read = Record("dead-letter", 0, 0, 5, letter.key, letter.value, letter.headers)
    assert sum(one.passing for one in traces_of(read).held({})) == count


def test_a_value_that_cannot_be_read_is_found_by_its_key_alone() -> None:
    odd = Record(RECOMMENDATION_UPDATED.name, 0, 0, 5, b"trending:", b"7 nonsense", ())
    assert not traces_of(odd).held({})
    assert traces_of(odd._replace(key=b"for-you:7")).held({})
