"""The interactions stage judges scorers by what shoppers do next, and its weights survive everything."""

from __future__ import annotations

from collections import Counter
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.weights import report_json, report_table, reports_of
from consumers.interactions.settings import InteractionSettings, LearningSettings
from consumers.interactions.stage import InteractionsStage
from consumers.runtime.memory import MemoryLog, MemoryTransport
from consumers.runtime.settings import WorkerSettings
from consumers.runtime.worker import Worker
from recsys.scoring.weights import Group, Knowledge
from schemas.codec import decode, encode, topic_of
from schemas.events import (
    BlendState,
    Event,
    ItemState,
    ListedProduct,
    PdpView,
    ProductCreated,
    RecommendationUpdated,
)
from schemas.keys import key_of

EVERY = InteractionSettings(learning=LearningSettings(share=1.0, rate=0.5))


class Shop:
    """A log in memory, and the stage on it; after "p" comes "a", says a row, and "b" is popular."""

    def __init__(self, configured: InteractionSettings = EVERY) -> None:
        self.log = MemoryLog(partitions=2, now_ms=5_000)
        self._settings = configured
        row = ItemState("p", 0, 1.0, 5.0, 0.0, ("a",), (2.0,), (0.0,), (0.0,), 1, (), (), 1)
        popular = RecommendationUpdated("popular", "", 1, [ListedProduct("b", 1.0, "popular")], 1, "x", 1)
        self.publish(*(ProductCreated(product_id, 1) for product_id in "abp"), row, popular)
        self.start()

    def start(self) -> None:
        self.stage = InteractionsStage(self._settings)
        spec = self.stage.spec
        inputs, tables = [topic.name for topic in spec.inputs], [topic.name for topic in spec.tables]
        self.transport = MemoryTransport(self.log, "interactions", inputs, tables)
        quick = WorkerSettings(backoff_base_seconds=1e-6, backoff_cap_seconds=1e-6)
        self.worker = Worker(self.stage, self.transport, settings=quick)
        self.seen: Counter[tuple[str, ...]] = Counter()
        self.worker._metrics.observed = self.seen.update  # type: ignore[method-assign]

    def publish(self, *events: Event) -> None:
        for event in events:
            self.log.append(topic_of(event).name, key_of(event).encode(), encode(event))

    def view(self, event_id: str, user: str, product_id: str, at_ms: int) -> None:
        self.publish(PdpView(event_id, at_ms, user, None, product_id))

    def settle(self) -> None:
        quiet = 0
        while quiet < 5:
            worked = self.worker.run_once(timeout_ms=0)
            quiet = 0 if worked or not self.worker.idle else quiet + 1

    def states(self) -> dict[str, BlendState]:
        table = self.log.table("blend-state").items()
        return {key.decode(): cast(BlendState, decode("blend-state", value)) for key, value in table}

    def weights(self, knowledge: str) -> dict[str, float]:
        found = {report.group: report.weights for report in self.stage.for_you.weights.report()}
        return dict(found[Group(knowledge)])


def test_each_event_is_judged_by_what_was_known_before_it() -> None:
    shop = Shop()
    shop.view("e1", "u", "p", 2_000)
    shop.view("e2", "u", "a", 3_000)  # in the same batch
    shop.settle()
    hits = {labels[1:]: amount for labels, amount in shop.seen.items() if labels[0] == "scorer_hits"}
    assert hits["viewed_next", "", "1"] == 1, "a after p"
    assert hits["viewed_next", "", "missed"] == 1, "nothing was known before p"
    assert hits["popular", "", "missed"] == 2
    assert shop.seen["scorer_reciprocal_ranks", "viewed_next", ""] == 1
    (state,) = shop.states().values()
    assert (state.knowledge, state.segment, state.event_time_ms) == (Knowledge.FEW, "", 3_000)
    few, new = shop.weights(Knowledge.FEW), shop.weights(Knowledge.NEW)
    assert few["viewed_next"] > new["viewed_next"] == 1.0
    assert few["popular"] < new["popular"] == 0.02


def test_weights_that_are_frozen_stay_and_scorers_are_judged_all_the_same() -> None:
    shop = Shop(InteractionSettings(learning=LearningSettings(share=1.0, frozen=True)))
    shop.view("e1", "u", "p", 2_000)
    shop.view("e2", "u", "a", 3_000)
    shop.settle()
    assert shop.states() == {}
    assert shop.seen["scorer_hits", "viewed_next", "", "1"] == 1


def test_a_share_of_none_judges_nothing() -> None:
    shop = Shop(InteractionSettings(learning=LearningSettings(share=0.0)))
    shop.view("e1", "u", "p", 2_000)
    shop.settle()
    assert not [labels for labels in shop.seen if labels[0] == "scorer_hits"]


steps = st.tuples(
    st.sampled_from("uvw"),
    st.sampled_from("abp"),
    st.integers(0, 4_000),
    st.sampled_from(["nothing", "before", "after", "kill"]),
)


@settings(max_examples=20)
@given(st.lists(steps, min_size=1, max_size=8))
def test_crashes_anywhere_lead_to_the_same_weights(script: list[tuple[str, str, int, str]]) -> None:
    calm, stormy = Shop(), Shop()
    for number, (user, product_id, at_ms, mishap) in enumerate(script):
        for shop in (calm, stormy):
            shop.view(f"e{number}", user, product_id, at_ms)
        calm.settle()
        if mishap == "kill":
            stormy.worker.run_once(timeout_ms=0)
            stormy.transport.kill()
            stormy.start()
        elif mishap != "nothing":
            stormy.log.fail_next_commit("before" if mishap == "before" else "after")
        stormy.settle()
    assert stormy.states() == calm.states()
    for knowledge in Knowledge.ALL:
        assert stormy.weights(knowledge) == calm.weights(knowledge)


def test_the_command_line_tells_the_weights_in_force() -> None:
    shop = Shop()
    shop.view("e1", "u", "p", 2_000)
    shop.view("e2", "u", "a", 3_000)
    shop.settle()
    reports = reports_of(EVERY, shop.log.records("blend-state"))
    assert reports == shop.stage.for_you.weights.report()
    told = {report["knowledge"]: report for report in map(report_json, reports)}
    assert told["few"]["weights"] == shop.weights(Knowledge.FEW)
    assert told["few"]["credits"]["viewed_next"] == pytest.approx(1.0)
    assert report_table(reports).row_count == 3 * len(told["few"]["weights"])
