"""The two scorers that follow other shoppers: what their sessions held, and what their taste is like."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from recsys.catalogue import Catalogue
from recsys.co_visits import ActionWeights
from recsys.factors.solving import Visited, regularised, solve
from recsys.scoring.factor_scorer import FactorScorer, FoldInRules
from recsys.scoring.query import Queries
from recsys.scoring.scorers import NOTHING, Scored
from recsys.scoring.session_scorer import SessionScorer
from recsys.scoring.slots import ProductSlots
from recsys.sessions.index import SessionRules
from recsys.sessions.of_histories import sessions_of
from recsys.sessions.vmis import VmisRules
from schemas.events import Action, ItemFactors, ProductCreated, UserHistory


def slots(products: str = "abcdef") -> ProductSlots:
    catalogue = Catalogue()
    for product_id in products:
        catalogue.put(product_id, ProductCreated(product_id, 1))
    made = ProductSlots(catalogue)
    made.assign(products)
    return made


def queries(*visited: str, subjects: Sequence[str] = ()) -> Queries:
    owners = np.repeat(np.arange(len(visited)), list(map(len, visited)))
    weights = np.ones(len(owners))
    ids = list("".join(visited))
    return Queries(ids, owners, weights, [False] * len(ids), [()] * len(visited), subjects or [""] * len(visited))


def history(visited: str, actions: Sequence[int] = (), quantities: Sequence[float] = ()) -> UserHistory:
    count = len(visited)
    return UserHistory(
        "s", range(count), range(count), list(visited), actions or [0] * count, quantities or [1.0] * count, (), 0
    )


def by_query(scored: Scored, made: ProductSlots) -> list[dict[str, float]]:
    answers: list[dict[str, float]] = [{} for _ in range(int(scored.owners.max()) + 1)]
    for owner, slot, score in zip(scored.owners, scored.slots, scored.scores, strict=True):
        answers[owner][made.ids[slot]] = float(score)
    return answers


def test_shoppers_like_this_one_say_what_comes_next_and_oneself_does_not() -> None:
    made = slots()
    scorer = SessionScorer(made, VmisRules(), SessionRules())
    assert scorer.score(queries("a")) is NOTHING
    scorer.put({"u": history("abc"), "v": history("abd"), "w": history("ef"), "x": history("e")})
    first, second = by_query(scorer.score(queries("a", "a", subjects=["u", "new"])), made)
    assert first.keys() == {"a", "b", "d"}
    assert second.keys() == {"a", "b", "c", "d"}
    scorer.put({"v": None})
    assert by_query(scorer.score(queries("b")), made)[0].keys() == {"a", "b", "c"}


def factors(**vectors: Sequence[float]) -> list[tuple[str, ItemFactors | None]]:
    return [(name, ItemFactors(name, 0, np.array(own, "<f4").tobytes(), 1)) for name, own in vectors.items()]


def test_taste_is_folded_in_and_what_cannot_be_recommended_is_left_out() -> None:
    made = slots("abc")
    scorer = FactorScorer(made, FoldInRules(alpha=2.0, regularisation=1.0, rank_decay=0.5))
    assert scorer.score(queries("a")) is NOTHING
    vectors = {"a": (1.0, 0.0), "b": (0.8, 0.1), "c": (-1.0, 1.0), "gone": (3.0, 0.0)}
    scorer.put(factors(**vectors))
    every = np.array(list(vectors.values()))
    visited = Visited(np.array([2]), every[[0, 1]], np.array([1.0, 0.5]))
    user = solve(regularised(every.T @ every, 1.0), visited, 2.0)[0]
    found = by_query(scorer.score(queries("", "ab")), made)
    assert found[0] == {}
    assert found[1] == pytest.approx({"a": every[0] @ user, "b": every[1] @ user}, rel=1e-5)


def test_only_the_best_are_scored_and_a_vector_that_is_no_more_is_nothing() -> None:
    made = slots("abcd")
    scorer = FactorScorer(made, FoldInRules(most=2))
    scorer.put(factors(a=(1.0,), b=(3.0,), c=(2.0,), d=(0.5,)))
    assert by_query(scorer.score(queries("a")), made)[0].keys() == {"b", "c"}
    scorer.put([("b", None), *factors(c=(2.0, 7.0))])
    assert by_query(scorer.score(queries("a")), made)[0].keys() == {"a", "d"}


def test_a_history_becomes_a_session() -> None:
    made = slots("")
    actions = [Action.VIEW, Action.PURCHASE, Action.PURCHASE, Action.PURCHASE, Action.CART_ADD]
    bought = history("abbac", actions, [1.0, 2.0, -2.0, 1.0, 1.0])
    plain = sessions_of({"u": bought, "v": None, "w": history("aba")}, made.assign)
    assert plain.counts.tolist() == [2, 0, 2]
    assert [made.ids[item] for item in plain.items] == ["a", "c", "a", "b"]
    assert plain.times_ms.tolist() == [3, 4, 2, 1]
    assert plain.strengths.tolist() == [1.0] * 4
    weighed = sessions_of({"u": bought}, made.assign, ActionWeights())
    assert weighed.strengths.tolist() == [3.0, 2.0]
