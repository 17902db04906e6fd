"""thresholds: the published numbers, order statistics, and ties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snn_deploy.cutoff.oracle import answers, gaps
from snn_deploy.cutoff.rules.retry import retry
from snn_deploy.cutoff.rules.risk import risk
from snn_deploy.cutoff.rules.softmax import seen_threshold
from snn_deploy.cutoff.rules.spikecp import spikecp_thresholds
from snn_deploy.cutoff.rules.topk import epsilons, topk, topk_thresholds
from snn_deploy.cutoff.thresholds import (
    conformal_threshold,
    critical_scores,
    inputs_needed,
    inputs_needed_on_average,
    loss_bound,
    loss_of_stopping,
    polled_timesteps,
    risk_threshold,
    safe_timesteps,
    stops,
)
from tests.build import rng
from tests.cutoff.example import LABELS, NONE, SCORES, some_scores

EVERY = np.arange(1, 5)


@pytest.mark.parametrize(
    ("epsilon", "betas", "timesteps", "mean"),
    [
        (0.0, [1, 1, 2, 3], [1, 4, 4, 1, 4, 4], 3),
        (0.2, [1, 1, 0, 0], [1, 3, 3, 1, 3, 3], 7 / 3),
        (0.4, [1, 0, 0, 0], [1, 2, 2, 1, 2, 2], 5 / 3),
    ],
)
def test_published_rule_on_ten_bins(
    epsilon: float, betas: list[int], timesteps: list[int], mean: float
) -> None:
    found = topk_thresholds(SCORES, LABELS, epsilon, n_bins=10)

    np.testing.assert_allclose(found / 2, betas)
    taken = stops(SCORES, topk(found))
    np.testing.assert_array_equal(taken, timesteps)
    assert taken.mean() == pytest.approx(mean)


def test_published_rule_at_no_error_keeps_the_accuracy() -> None:
    betas = topk_thresholds(SCORES, LABELS, 0.0, n_bins=10)

    timesteps = stops(SCORES, topk(betas))

    early = answers(SCORES)[np.arange(6), timesteps - 1]
    assert (early == LABELS).mean() == 5 / 6


def test_published_rule_may_change_answers() -> None:
    betas = topk_thresholds(SCORES, LABELS, 0.4, n_bins=10)

    timesteps = stops(SCORES, topk(betas))

    assert loss_of_stopping(SCORES, None, timesteps) == pytest.approx(1 / 3)


def test_published_rule_falls_back_on_the_last_bin_where_nothing_passes() -> None:
    wrong = np.array([1, 2, 2, 0, 0, 1])  # no answer is ever right

    found = topk_thresholds(SCORES, wrong, 0.0, n_bins=10)

    largest = gaps(SCORES).max()
    np.testing.assert_allclose(found, 0.9 * largest)
    assert stops(SCORES, topk(found)).min() < 4  # a gap over it still fires


def test_published_sweep_starts_at_no_error() -> None:
    np.testing.assert_allclose(epsilons(0.01), np.arange(10) / 100)


def test_critical_scores_with_labels_and_without() -> None:
    gap = gaps(SCORES)

    with_labels = critical_scores(gap, safe_timesteps(SCORES, LABELS), EVERY)
    without = critical_scores(gap, safe_timesteps(SCORES, None), EVERY)

    np.testing.assert_array_equal(with_labels / 2, [NONE, 1, 1, NONE, 1, NONE])
    np.testing.assert_array_equal(without / 2, [NONE, 1, 1, NONE, 1, 1])


def test_nobody_stops_too_early_at_a_timestep_that_is_not_polled() -> None:
    safe = np.array([4, 3, 2])
    values = np.array([[9, 1, 8, 0], [5, 2, 7, 0], [3, 4, 6, 0]])

    found = critical_scores(values, safe, np.array([2, 4]))

    np.testing.assert_array_equal(found, [1, 2, NONE])


def test_conformal_threshold_on_the_example() -> None:
    critical = critical_scores(gaps(SCORES), safe_timesteps(SCORES, LABELS), EVERY)

    beta = conformal_threshold(critical, 0.2)

    assert beta / 2 == 1
    np.testing.assert_array_equal(stops(SCORES, risk(beta)), [1, 3, 3, 1, 3, 3])


@pytest.mark.parametrize(
    ("budget", "confidence", "n"),
    [(0.01, 0.9, 230), (0.01, 0.95, 299), (0.02, 0.9, 114), (0.005, 0.9, 460)],
)
def test_a_promise_needs_so_many_inputs(
    budget: float, confidence: float, n: int
) -> None:
    critical = np.zeros(n)

    assert inputs_needed(budget, confidence) == n
    assert risk_threshold(critical, budget, confidence) == 0
    assert risk_threshold(critical[1:], budget, confidence) == np.inf


@pytest.mark.parametrize(("budget", "n"), [(0.01, 99), (0.02, 49), (0.2, 4)])
def test_a_promise_on_average_needs_fewer(budget: float, n: int) -> None:
    assert inputs_needed_on_average(budget) == n
    assert conformal_threshold(np.zeros(n), budget) == 0
    assert conformal_threshold(np.zeros(n - 1), budget) == np.inf


@given(n=st.integers(230, 3000), seed=st.integers(0, 100))
@settings(max_examples=40)
def test_what_the_threshold_lets_through_is_bounded_by_the_budget(
    n: int, seed: int
) -> None:
    """The order statistic and the exact bound are two ways to one truth."""
    critical = rng(seed).exponential(size=n)

    beta = risk_threshold(critical, 0.01, 0.9)

    n_over = int((critical > beta).sum())
    assert loss_bound(n_over, n, 0.9) <= 0.01
    assert loss_bound(n_over + 1, n, 0.9) > 0.01


def test_equal_critical_scores_are_all_below_the_threshold_or_all_above() -> None:
    critical = np.full(300, 7.0)

    assert risk_threshold(critical, 0.01, 0.9) == 7
    assert risk_threshold(np.full(300, NONE), 0.01, 0.9) == NONE


@given(seed=st.integers(0, 1000), low=st.integers(-1, 8), more=st.integers(0, 8))
def test_a_higher_threshold_stops_no_earlier_and_loses_no_more(
    seed: int, low: int, more: int
) -> None:
    scores = some_scores(seed)
    safe = safe_timesteps(scores, None)

    earlier, later = stops(scores, risk(low)), stops(scores, risk(low + more))

    assert np.all(earlier <= later)
    assert np.all((later < safe) <= (earlier < safe))


@given(
    seed=st.integers(0, 1000), beta=st.integers(-1, 8), every=st.sampled_from([1, 2, 3])
)
def test_an_input_stops_too_early_if_its_critical_score_is_over_the_threshold(
    seed: int, beta: int, every: int
) -> None:
    scores = some_scores(seed)
    labels = rng(seed + 1).integers(0, 4, size=30)
    polled = polled_timesteps(6, every)
    betas = np.where(np.isin(np.arange(1, 7), polled), beta, np.inf)
    for y in (labels, None):
        safe = safe_timesteps(scores, y)
        critical = critical_scores(gaps(scores), safe, polled)

        timesteps = stops(scores, topk(betas))

        np.testing.assert_array_equal(timesteps < safe, critical > beta)
        assert loss_of_stopping(scores, y, timesteps) <= (critical > beta).mean() + 1e-9


def test_polled_timesteps_end_with_the_last() -> None:
    assert polled_timesteps(8, 3).tolist() == [3, 6, 8]
    assert polled_timesteps(8, 4).tolist() == [4, 8]
    assert polled_timesteps(1, 1).tolist() == [1]


def test_retry_is_risk_that_looks_once() -> None:
    scores = some_scores(3)

    timesteps = stops(scores, retry(1, at=2))

    over = gaps(scores)[:, 1] > 1
    np.testing.assert_array_equal(timesteps, np.where(over, 2, 6))


def test_spikecp_shares_the_budget_among_the_timesteps_it_looks_at() -> None:
    scores = some_scores(0, n=200)
    labels = answers(scores)[:, -1]
    polled = np.array([3, 6])

    found = spikecp_thresholds(scores, labels, 0.1, polled, 1.0)

    assert found[[0, 1, 3, 4]].tolist() == [np.inf] * 4
    odds = np.exp(scores[:, 2] - scores[np.arange(200), 2, labels][:, np.newaxis])
    losses = np.sort(np.log(odds.sum(axis=1)))
    assert found[2] == pytest.approx(losses[int(np.ceil(201 * 0.95)) - 1])


def test_the_smallest_threshold_within_the_budget_is_found() -> None:
    scores = some_scores(5, n=60)
    gap = gaps(scores)
    every = np.arange(1, 7)

    beta = seen_threshold(scores, None, gap, 0.05, every)

    assert loss_of_stopping(scores, None, stops(scores, risk(beta))) <= 0.05
    assert loss_of_stopping(scores, None, stops(scores, risk(beta - 1))) > 0.05
