"""A shopper's journey as the columns of its changelog record, and back."""

from __future__ import annotations

from itertools import repeat

from recsys.attribution import AttributionRules, Journey
from recsys.journey_rows import NOT_SEEN, UNKNOWN_MS, ActionRow, ClickRow, Credit, Place, Sight, Touch
from schemas.events import Action, OutcomeState

_NOWHERE = -1
_NO_TOUCH = Touch(UNKNOWN_MS, "", UNKNOWN_MS, 0, Place())
_NO_CREDIT = Credit(UNKNOWN_MS, "", _NO_TOUCH)


class _Places(dict[Place, int]):
    """Places in the order in which they are first named."""

    def __missing__(self, place: Place) -> int:
        self[place] = number = len(self)
        return number


def snapshot(subject: str, journey: Journey) -> OutcomeState:
    """The journey as a record; ``restore`` makes an equal one of it."""
    places = _Places()
    clicks, actions, sights = journey.clicks, journey.actions, journey.sights
    owed = [action.credit or _NO_CREDIT for action in actions]
    impression_places = [places[sight.place] for sight in sights]
    click_places = [places[click.place] for click in clicks]
    seen_places = [_NOWHERE if click.seen is NOT_SEEN else places[click.seen.place] for click in clicks]
    action_places = [_NOWHERE if credit is _NO_CREDIT else places[credit.touch.place] for credit in owed]
    return OutcomeState(
        subject=subject,
        latest_ms=journey.latest_ms,
        shelf_recommendation_ids=[place.recommendation_id for place in places],
        shelf_placements=[place.placement for place in places],
        shelf_kinds=[place.kind for place in places],
        shelf_variants=[place.variant for place in places],
        impression_times_ms=[sight.time_ms for sight in sights],
        impression_product_ids=[sight.product_id for sight in sights],
        impression_shelves=impression_places,
        click_event_ids=[click.event_id for click in clicks],
        click_times_ms=[click.time_ms for click in clicks],
        click_product_ids=[click.product_id for click in clicks],
        click_shelves=click_places,
        click_ranks=[click.rank for click in clicks],
        click_seen_times_ms=[click.seen.time_ms for click in clicks],
        click_seen_shelves=seen_places,
        click_revisions=[click.revision for click in clicks],
        action_event_ids=[action.event_id for action in actions],
        action_times_ms=[action.time_ms for action in actions],
        action_product_ids=[action.product_id for action in actions],
        action_kinds=[int(action.kind) for action in actions],
        action_quantities=[action.quantity for action in actions],
        action_revenues=[action.revenue for action in actions],
        action_cause_times_ms=[credit.cause_time_ms for credit in owed],
        action_cause_ids=[credit.cause_id for credit in owed],
        action_click_ids=[credit.touch.click_id for credit in owed],
        action_click_times_ms=[credit.touch.click_time_ms for credit in owed],
        action_click_ranks=[credit.touch.rank for credit in owed],
        action_seen_times_ms=[credit.touch.seen_time_ms for credit in owed],
        action_shelves=action_places,
        action_revisions=[action.revision for action in actions],
        shelf_reasons=[place.reason for place in places],
    )


def restore(state: OutcomeState, rules: AttributionRules) -> Journey:
    """The journey of a record."""
    places = list(
        map(
            Place,
            state.shelf_recommendation_ids,
            state.shelf_placements,
            state.shelf_kinds,
            state.shelf_variants,
            state.shelf_reasons or repeat(""),
        )
    )
    journey = Journey(rules)
    journey.latest_ms = state.latest_ms
    journey.sights = [
        Sight(time_ms, product_id, places[shelf])
        for time_ms, product_id, shelf in zip(
            state.impression_times_ms, state.impression_product_ids, state.impression_shelves, strict=True
        )
    ]
    journey.clicks = _clicks(state, places)
    journey.actions = _actions(state, places)
    return journey


def _clicks(state: OutcomeState, places: list[Place]) -> list[ClickRow]:
    columns = (
        state.click_times_ms,
        state.click_event_ids,
        state.click_product_ids,
        state.click_shelves,
        state.click_ranks,
        state.click_seen_times_ms,
        state.click_seen_shelves,
        state.click_revisions,
    )
    return [
        ClickRow(
            at_ms,
            event_id,
            product_id,
            places[shelf],
            rank,
            NOT_SEEN if seen_shelf == _NOWHERE else Sight(seen_ms, product_id, places[seen_shelf]),
            revision,
        )
        for at_ms, event_id, product_id, shelf, rank, seen_ms, seen_shelf, revision in zip(*columns, strict=True)
    ]


def _actions(state: OutcomeState, places: list[Place]) -> list[ActionRow]:
    touches = zip(
        state.action_cause_times_ms,
        state.action_cause_ids,
        state.action_click_times_ms,
        state.action_click_ids,
        state.action_seen_times_ms,
        state.action_click_ranks,
        state.action_shelves,
        strict=True,
    )
    owed = [
        None
        if shelf == _NOWHERE
        else Credit(cause_ms, cause_id, Touch(click_ms, click_id, seen_ms, rank, places[shelf]))
        for cause_ms, cause_id, click_ms, click_id, seen_ms, rank, shelf in touches
    ]
    kinds = map(Action, state.action_kinds)
    return list(
        map(
            ActionRow,
            state.action_times_ms,
            state.action_event_ids,
            state.action_product_ids,
            kinds,
            state.action_quantities,
            state.action_revenues,
            owed,
            state.action_revisions,
        )
    )
