"""Metrics against values worked out by hand, and what holds for every list."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.evaluation.ranking import RankingEvaluation, RankingMetrics

CATALOGUE = tuple("abcdefghij")


def measured(k: int, *queries: tuple[str, str]) -> RankingMetrics:
    evaluation = RankingEvaluation(k, CATALOGUE)
    for listed, relevant in queries:
        evaluation.add(listed, set(relevant))
    return evaluation.metrics()


def test_one_list_by_hand() -> None:
    found = measured(4, ("abcde", "bdexy"))
    # Hits at ranks 2 and 4; "e" stands at rank 5 and is out. Four of the five could have been in the list.
    ideal = 1 + 1 / math.log2(3) + 1 / 2 + 1 / math.log2(5)
    assert found == pytest.approx((4, 1, 1.0, (1 / math.log2(3) + 1 / math.log2(5)) / ideal, 2 / 4, 1 / 2, 0.4))


def test_recall_and_ideal_are_over_what_could_be_in_the_list() -> None:
    assert measured(2, ("ab", "abcdef")) == pytest.approx((2, 1, 1.0, 1.0, 1.0, 1.0, 0.2))
    assert measured(10, ("abc", "a")) == pytest.approx((10, 1, 1.0, 1.0, 1.0, 1.0, 0.3))


def test_a_query_without_a_list_counts_as_zero() -> None:
    assert measured(3, ("", "a"), ("cba", "c")) == pytest.approx((3, 2, 0.5, 0.5, 0.5, 0.5, 0.3))


def test_without_queries_everything_is_zero() -> None:
    assert measured(3) == (3, 0, 0.0, 0.0, 0.0, 0.0, 0.0)


def test_coverage_counts_catalogue_products_in_the_first_k_once() -> None:
    assert measured(2, ("abc", "z"), ("adz", "z"), ("zy", "a")).coverage == pytest.approx(3 / 10)


def mrr_with_ties(listed: str, scores: list[float], relevant: str, k: int) -> float:
    evaluation = RankingEvaluation(k, CATALOGUE)
    evaluation.add(listed, {relevant}, scores)
    return evaluation.metrics().mrr


def test_ties_count_against() -> None:
    scores = [4.0, 3.0, 3.0, 3.0, 1.0]
    assert mrr_with_ties("abcde", scores, "a", 3) == 1.0
    assert mrr_with_ties("abcde", scores, "b", 4) == 1 / 4
    assert mrr_with_ties("abcde", scores, "d", 4) == 1 / 4
    # The product at the (k + 1)-th place ties with the hit, so the hit is out.
    assert mrr_with_ties("abcde", scores, "b", 3) == 0.0
    assert mrr_with_ties("abcde", scores, "e", 5) == 1 / 5


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(ValueError, match="k is 0; give at least 1"):
        RankingEvaluation(0, CATALOGUE)
    with pytest.raises(ValueError, match="at least one relevant"):
        RankingEvaluation(1, CATALOGUE).add("a", ())
    with pytest.raises(ValueError, match="best first"):
        RankingEvaluation(1, CATALOGUE).add("ab", {"a"}, [1.0, 2.0])
    with pytest.raises(ValueError, match="shorter"):
        RankingEvaluation(1, CATALOGUE).add("ab", {"a"}, [1.0])


lists = st.lists(st.sampled_from(CATALOGUE), unique=True)
queries = st.lists(st.tuples(lists, st.sets(st.sampled_from(CATALOGUE), min_size=1)), min_size=1, max_size=6)


@given(queries, st.integers(1, 12))
def test_every_metric_is_a_share_and_hits_bound_the_others(
    asked: list[tuple[list[str], set[str]]], k: int
) -> None:
    evaluation = RankingEvaluation(k, CATALOGUE)
    for listed, relevant in asked:
        evaluation.add(listed, relevant)
    found = evaluation.metrics()
    assert all(0.0 <= share <= 1.0 + 1e-12 for share in found[2:])
    assert max(found.ndcg, found.recall, found.mrr) <= found.hr + 1e-12


@given(queries, st.integers(1, 12), st.data())
def test_scores_without_ties_change_nothing_and_ties_only_lower(
    asked: list[tuple[list[str], set[str]]], k: int, data: st.DataObject
) -> None:
    plain, untied, tied = (RankingEvaluation(k, CATALOGUE) for _ in range(3))
    for listed, relevant in asked:
        scores = data.draw(st.lists(st.integers(0, 3), min_size=len(listed), max_size=len(listed)))
        plain.add(listed, relevant)
        untied.add(listed, relevant, [float(-place) for place in range(len(listed))])
        tied.add(listed, relevant, sorted(map(float, scores), reverse=True))
    assert untied.metrics() == plain.metrics()
    assert all(low <= high + 1e-12 for low, high in zip(tied.metrics(), plain.metrics(), strict=True))
    assert all(0.0 <= share <= 1.0 + 1e-12 for share in tied.metrics()[2:])


@given(lists, st.sets(st.sampled_from(CATALOGUE), min_size=1))
def test_the_best_list_has_full_marks(rest: list[str], relevant: set[str]) -> None:
    evaluation = RankingEvaluation(5, CATALOGUE)
    evaluation.add([*sorted(relevant), *(product for product in rest if product not in relevant)], relevant)
    assert evaluation.metrics()[2:6] == pytest.approx((1.0, 1.0, 1.0, 1.0))
