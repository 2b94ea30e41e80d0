"""A full refit beside the traffic: reads what the item-factors stage learns from, fits, and publishes the vectors.

The stage takes them up when all are there. Nothing is published of a refit that fails on the way; one that is not
needed any more, since another came after it, has no effect.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import numpy as np

from consumers.item_factors.refit_log import RefitLog
from consumers.item_factors.refit_parts import ItemVectors, cut
from consumers.item_factors.settings import ItemFactorSettings
from consumers.runtime.outbox import Outbox
from consumers.runtime.records import Record
from recsys.co_visits import ActionWeights
from recsys.factors.attributes import attribute_features, product_features
from recsys.factors.generations import Generations
from recsys.factors.learner import FactorLearner
from recsys.factors.objective import loss
from recsys.factors.refit import Fitted, OnSweep, RefitRules, refit
from recsys.sessions.of_histories import sessions_of
from schemas.codec import decoder
from schemas.errors import ContractError, RecsysError
from schemas.events import ItemFactors, UserUpdated
from schemas.topics import INTERACTION_STATE, ITEM_FACTORS, PRODUCT_CREATED, REFIT_FACTORS, USER_UPDATED, Topic

OnProgress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is in all."""

_EVERY = 2**31 - 1
_READ = (PRODUCT_CREATED, USER_UPDATED, ITEM_FACTORS, REFIT_FACTORS, INTERACTION_STATE)


class NothingToRefitError(RecsysError):
    """No shopper has visited anything yet."""


class Engine(Protocol):
    """A way to fit. It leaves the learner with the vectors that it found."""

    name: str

    def fit(self, learner: FactorLearner, rules: RefitRules, on_sweep: OnSweep) -> Fitted:
        """Fit the learner to what it remembers, from the vectors that it has."""
        ...


class OwnEngine:
    """The stage's own arithmetic."""

    name = "own"

    def fit(self, learner: FactorLearner, rules: RefitRules, on_sweep: OnSweep) -> Fitted:
        """Alternate until nothing changes."""
        return refit(learner, rules, on_sweep)


class RefitReport(NamedTuple):
    """What a refit did; losses are by visit (``recsys.factors.objective``), of the vectors before and of these."""

    engine: str
    generation: int
    users: int
    items: int
    sweeps: int
    converged: bool | None
    loss_before: float
    loss_after: float
    seconds: float


class _State:
    """What is on the topics."""

    def __init__(self, settings: ItemFactorSettings) -> None:
        rules = replace(settings.rules(), recent_users=_EVERY)
        self.learner = FactorLearner(rules, settings.session_rules())
        self.generation = 0
        self.parts: set[str] = set()
        """Keys of the parts of the refit before."""
        self._published: dict[str, ItemFactors | None] = {}
        self._weights = ActionWeights()
        self._bought = settings.bought_units()

    def read(self, log: RefitLog, on_progress: OnProgress) -> None:
        """Read all topics, histories last, and start from the vectors that were published."""
        for done, topic in enumerate(_READ):
            on_progress("reading", done, len(_READ))
            # What is much of a product is known when all histories are, so they are read twice where it matters.
            for _ in range(2 if topic is INTERACTION_STATE and self._bought is not None else 1):
                for records in log.read(topic):
                    self._take(topic, _decoded(topic, records))
        on_progress("reading", len(_READ), len(_READ))
        generations = Generations()
        for product_id, data in generations.take(self._published.items()).vectors.items():
            vector = np.frombuffer(data, "<f4")
            if len(vector) == self.learner.rules.factors:
                self.learner.restore(product_id, vector)
        self.generation = max(self.generation, generations.generation)

    def _take(self, topic: Topic, values: Sequence[tuple[str, Any]]) -> None:
        if topic is INTERACTION_STATE:
            self.learner.remember(sessions_of(dict(values), self.learner.assign, self._weights, self._bought))
        elif topic is ITEM_FACTORS:
            self._published.update(values)
        for key, value in values:
            if topic is PRODUCT_CREATED:
                self.learner.put_item_features(key, product_features(value))
            elif topic is USER_UPDATED:
                self.learner.put_user_features(key, _user_features(value))
            elif topic is REFIT_FACTORS and value is not None:
                self.parts.add(key)
                self.generation = max(self.generation, value.generation)


def run_refit(
    log: RefitLog,
    settings: ItemFactorSettings,
    engine: Engine | None = None,
    on_progress: OnProgress = lambda doing, done, total: None,
    *,
    publish: bool = True,
) -> RefitReport:
    """Fit everything that is on the log, and publish the vectors unless only the report is wanted.

    Raises ``NothingToRefitError`` for a shop without visits, ``FencedError`` where another refit began since.
    """
    engine = engine or OwnEngine()
    began = time.monotonic()
    state = _State(settings)
    state.read(log, on_progress)
    learner = state.learner
    if not len(learner.index):
        raise NothingToRefitError("no history is on interaction-state, so there is nothing to fit; run the stages")
    learner.solve_users(learner.index.used())
    learner.fit_features()
    learner.solve_users(learner.index.used())
    before, rules = loss(learner), settings.refit_rules()
    on_progress("fitting", 0, rules.max_sweeps)
    fitted = engine.fit(learner, rules, lambda sweeps, _: on_progress("fitting", sweeps, rules.max_sweeps))
    on_progress("fitting", rules.max_sweeps, rules.max_sweeps)
    generation = state.generation + 1
    if publish:
        vectors = learner.items.vectors[: len(learner)]
        found = ItemVectors(generation, learner.product_ids, vectors, learner.index.newest_ms)
        _publish(log, found, state.parts)
    return RefitReport(
        engine=engine.name,
        generation=generation,
        users=len(learner.index),
        items=len(learner),
        sweeps=fitted.sweeps,
        converged=fitted.converged,
        loss_before=round(before, 6),
        loss_after=round(fitted.loss, 6),
        seconds=round(time.monotonic() - began, 3),
    )


def taken_up(records: Iterable[Sequence[Record]], generation: int) -> bool:
    """True once all that a generation began with is among these records of item-factors."""
    generations = Generations()
    for chunk in records:
        generations.take(_decoded(ITEM_FACTORS, chunk))
        if generations.generation >= generation:
            return True
    return False


def _publish(log: RefitLog, found: ItemVectors, earlier: set[str]) -> None:
    out = Outbox("refit")
    for part in cut(found):
        out.publish(part)
        earlier.discard(str(part.part))
    for key in sorted(earlier):
        out.retract(REFIT_FACTORS, key)
    log.write(out.records)


def _decoded(topic: Topic, records: Sequence[Record]) -> list[tuple[str, Any]]:
    """Keys and values, None for a tombstone; what cannot be read is left out, as the stages leave it out."""
    decode = decoder(topic.name)
    found: list[tuple[str, Any]] = []
    for record in records:
        try:
            key = (record.key or b"").decode()
            found.append((key, None if record.value is None else decode(record.value)))
        except (ContractError, UnicodeDecodeError):
            continue
    return found


def _user_features(user: UserUpdated | None) -> list[str]:
    return [] if user is None else list(attribute_features(user.attributes))
