from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from recsys.evaluation.experiments import ExperimentTally
from recsys.evaluation.lifts import Estimate, lift, mismatch_p, ratio
from schemas.events import Impression, Purchase, RecommendationOutcome

SHARES = {"a": 0.5, "b": 0.5}


def impression(number: int, subject: str, variant: str = "test:a") -> Impression:
    return Impression(
        f"i{number}{subject}", number, subject, None, "p", "similar.1.a", "home", "similar", 1, variant
    )


def outcome(subject: str, name: str = "click", variant: str = "test:a", **more: float) -> RecommendationOutcome:
    quantity, revenue = more.get("quantity", 0.0), more.get("revenue", 0.0)
    where = ("similar.1.a", "similar", "home", variant, 1, "p")
    return RecommendationOutcome("e", subject, name, 1, *where, quantity, revenue, 5, 4)


def test_the_figures_of_a_small_experiment() -> None:
    tally = ExperimentTally("test", SHARES, "a")
    for number, subject in enumerate(["u", "u", "v", "w"]):
        tally.add_impression(impression(number, subject))
    for number, subject in enumerate(["x", "x", "x", "y"], start=10):
        tally.add_impression(impression(number, subject, "test:b"))
    tally.add_impression(impression(0, "u"))  # sent again
    tally.add_impression(impression(20, "z", "other:a"))
    tally.put_outcome("1", outcome("u"))
    tally.put_outcome("2", outcome("x", variant="test:b"))
    tally.put_outcome("3", outcome("x", variant="test:b"))
    tally.put_outcome("4", outcome("x", "purchase", "test:b", quantity=2.0, revenue=20.0))
    tally.put_outcome("5", outcome("x", "purchase", "test:b", quantity=-1.0, revenue=-10.0))
    tally.put_outcome("6", outcome("u", "purchase", quantity=1.0, revenue=5.0))
    tally.put_outcome("7", outcome("u", "cart-add", quantity=1.0))
    tally.put_outcome("8", outcome("y", variant="test:a"))  # of a variant that y did not see
    tally.put_outcome("9", outcome("v"))
    tally.put_outcome("9", None)
    a, b = tally.report().variants
    assert (a.shoppers, a.impressions, a.clicks, a.cart_adds, a.purchases, a.revenue) == (3, 4, 1, 1, 1, 5.0)
    assert (b.shoppers, b.impressions, b.clicks, b.cart_adds, b.purchases, b.revenue) == (2, 4, 2, 0, 1, 10.0)
    assert (a.metrics["click_rate"].value, b.metrics["click_rate"].value) == (0.25, 0.5)
    assert (a.metrics["click_rate"].lift, b.metrics["click_rate"].lift) == (None, 1.0)
    assert b.metrics["revenue_a_shopper"].value == 5.0
    assert b.metrics["revenue_a_shopper"].lift == pytest.approx(2.0)
    assert a.metrics["conversion"].value == pytest.approx(1 / 3)


def test_all_that_shoppers_bought_counts_from_when_they_first_saw_the_variant() -> None:
    tally = ExperimentTally("test", SHARES, "a")
    for number, subject, variant in (
        (5, "u", "test:a"),
        (9, "u", "test:a"),
        (5, "v", "test:b"),
        (5, "w", "test:b"),
    ):
        tally.add_impression(impression(number, subject, variant))
    for number, subject, quantity in (
        (4, "u", 1.0),
        (5, "u", 1.0),
        (8, "v", 3.0),
        (9, "v", -1.0),
        (9, "stranger", 1.0),
    ):
        tally.add_purchase(Purchase(f"b{number}{subject}", number, subject, None, "p", quantity, 10.0))
    tally.add_purchase(Purchase("b8v", 8, "v", None, "p", 3.0, 10.0))
    a, b = tally.report().variants
    assert (a.total_purchases, a.total_revenue) == (1, 10.0)
    assert (b.total_purchases, b.total_revenue, b.purchases) == (1, 20.0, 0)
    assert b.metrics["total_revenue_a_shopper"][:2] == (10.0, 0.0)


def test_an_outcome_that_changes_its_variant_leaves_the_former() -> None:
    tally = ExperimentTally("test", SHARES, "a")
    tally.add_impression(impression(1, "u"))
    tally.put_outcome("1", outcome("u"))
    tally.put_outcome("1", outcome("u", variant=""))
    assert tally.report().variants[0].clicks == 0


def test_a_shopper_who_saw_several_variants_is_left_out() -> None:
    tally = ExperimentTally("test", SHARES, "a")
    for number, (subject, variant) in enumerate([("u", "test:a"), ("u", "test:b"), ("v", "test:b")]):
        tally.add_impression(impression(number, subject, variant))
    report = tally.report()
    assert ([one.shoppers for one in report.variants], report.shoppers_in_several) == ([0, 1], 1)


def test_nothing_is_told_of_nobody() -> None:
    report = ExperimentTally("test", SHARES, "a").report()
    assert (report.mismatch_p, report.is_mismatched) == (None, False)
    assert [one.metrics["click_rate"].value for one in report.variants] == [None, None]
    assert report.variants[1].metrics["revenue_a_shopper"] == (None, None, None, None)


@pytest.mark.parametrize(
    ("shoppers", "shares"),
    [([5_000, 5_000], [0.5, 0.5]), ([821_588, 815_482], [0.5, 0.5]), ([60, 25, 20], [6, 2, 2])],
)
def test_the_mismatch_is_pearsons_chi_square(shoppers: list[int], shares: list[float]) -> None:
    expected = np.array(shares) / sum(shares) * sum(shoppers)
    assert mismatch_p(shoppers, shares) == pytest.approx(stats.chisquare(shoppers, expected).pvalue)


@pytest.mark.parametrize(("of_b", "mismatched"), [(1_000, False), (850, True)])
def test_a_warning_is_given_where_shoppers_are_missing(of_b: int, mismatched: bool) -> None:
    tally = ExperimentTally("test", SHARES, "a")
    for number in range(1_000):
        tally.add_impression(impression(number, f"a{number}"))
    for number in range(of_b):
        tally.add_impression(impression(2_000 + number, f"b{number}", "test:b"))
    assert tally.report().is_mismatched == mismatched


def test_of_single_units_a_ratio_is_a_mean_with_its_standard_error() -> None:
    revenue = np.random.default_rng(7).gamma(0.3, 20.0, 500)
    found = ratio(revenue, np.ones(500))
    assert found.value == pytest.approx(revenue.mean())
    assert math.sqrt(found.variance) == pytest.approx(stats.sem(revenue))
    assert ratio(revenue[:1], np.ones(1)).value == revenue[0]
    assert math.isnan(ratio(revenue[:1], np.ones(1)).variance)


def shoppers(random: np.random.Generator, count: int, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Clicks and impressions of shoppers who look, and click, more or less than each other."""
    impressions = 1 + random.poisson(random.gamma(2.0, 4.0, count))
    return random.binomial(impressions, random.beta(4 * rate, 4 * (1 - rate), count)), impressions


def test_the_interval_agrees_with_a_bootstrap_over_shoppers() -> None:
    random = np.random.default_rng(3)
    clicks, impressions = shoppers(random, 2_000, 0.1)
    resampled = stats.bootstrap(
        (clicks, impressions),
        lambda c, i, axis: c.sum(axis) / i.sum(axis),
        paired=True,
        vectorized=True,
        n_resamples=1_000,
        method="percentile",
        rng=random,
    )
    found = ratio(clicks.astype(float), impressions.astype(float))
    assert math.sqrt(found.variance) == pytest.approx(resampled.standard_error, rel=0.1)


def test_intervals_of_lifts_hold_the_truth_as_often_as_they_say() -> None:
    random = np.random.default_rng(11)
    held = 0
    for _ in range(200):
        control, variant = (shoppers(random, 1_000, rate) for rate in (0.10, 0.11))
        above = lift(*(ratio(c.astype(float), i.astype(float)) for c, i in (variant, control)))
        held += abs(above.value - 0.1) <= stats.norm.ppf(0.975) * math.sqrt(above.variance)
    assert 0.9 < held / 200 < 0.99


def test_a_lift_over_nothing_is_not_told() -> None:
    assert math.isnan(lift(Estimate(1.0, 0.1), Estimate(0.0, 0.1)).value)
    assert lift(Estimate(0.0, 0.0), Estimate(2.0, 0.5)) == (-1.0, 0.0)
