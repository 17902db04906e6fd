"""oracle, cutoff and calibrate: the example worked out by hand, and the promise."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snn_deploy.arrays import IntArray
from snn_deploy.errors import CalibrationError
from snn_deploy.host.calibrate import (
    Calibration,
    calibrate,
    conformal_threshold,
    critical_scores,
    inputs_needed,
    loss_of_stopping,
    risk_threshold,
    safe_timesteps,
    stops,
    topk_thresholds,
)
from snn_deploy.host.cutoff import fixed, never, risk, topk
from snn_deploy.host.oracle import (
    agreement_timesteps,
    answers,
    first_correct_timesteps,
    gaps,
    optimal_cutoff_timesteps,
)
from tests.build import rng

# accumulated outputs of six inputs A to F, four timesteps, three classes; times two, so
# that sample E's 3.5 is an integer
SCORES = (
    2
    * np.array(
        [
            [[3, 1, 0], [5, 2, 0], [8, 3, 0], [9, 5, 1]],
            [[2, 1, 0], [2, 3, 0], [5, 3, 0], [7, 3, 0]],
            [[1, 2, 0], [3, 2, 0], [5, 3, 1], [7, 3, 1]],
            [[0, 1, 3], [0, 2, 5], [0, 3, 8], [1, 4, 9]],
            [[2, 0, 1], [3, 3.5, 1], [4, 6, 1], [5, 8, 1]],
            [[1, 0, 0], [2, 1, 0], [2, 4, 0], [3, 6, 0]],
        ]
    )
).astype(np.int64)
LABELS = np.array([0, 0, 0, 2, 1, 0])
NONE = -np.inf


def test_measures_that_look_ahead() -> None:
    oct_ = optimal_cutoff_timesteps(SCORES, LABELS)

    np.testing.assert_array_equal(oct_, [1, 3, 2, 1, 2, 4])
    assert oct_.mean() == 13 / 6
    np.testing.assert_array_equal(
        first_correct_timesteps(SCORES, LABELS), [1, 1, 2, 1, 2, 1]
    )
    np.testing.assert_array_equal(agreement_timesteps(SCORES), [1, 3, 2, 1, 2, 3])


def test_stopping_at_the_oct_is_as_accurate_as_the_end() -> None:
    timesteps = optimal_cutoff_timesteps(SCORES, LABELS)

    assert loss_of_stopping(SCORES, LABELS, timesteps) == 0


@pytest.mark.parametrize(
    ("epsilon", "betas", "timesteps"),
    [
        (0.0, [1, 1, 2, 3], [1, 4, 4, 1, 4, 4]),
        (0.2, [1, 1, 0, 0], [1, 3, 3, 1, 3, 3]),
        (0.4, [1, 0, 0, 0], [1, 2, 2, 1, 2, 2]),
    ],
)
def test_published_rule_on_ten_bins(
    epsilon: float, betas: list[int], timesteps: list[int]
) -> None:
    found = topk_thresholds(SCORES, LABELS, epsilon, n_bins=10)

    np.testing.assert_allclose(found / 2, betas)
    np.testing.assert_array_equal(stops(SCORES, topk(found)), timesteps)


def test_published_rule_at_no_error_keeps_the_accuracy() -> None:
    betas = topk_thresholds(SCORES, LABELS, 0.0, n_bins=10)

    timesteps = stops(SCORES, topk(betas))

    early = answers(SCORES)[np.arange(6), timesteps - 1]
    assert (early == LABELS).mean() == 5 / 6
    assert timesteps.mean() == 3.0


def test_published_rule_may_change_answers() -> None:
    betas = topk_thresholds(SCORES, LABELS, 0.4, n_bins=10)

    timesteps = stops(SCORES, topk(betas))

    assert loss_of_stopping(SCORES, None, timesteps) == pytest.approx(1 / 3)


def test_critical_scores_with_labels_and_without() -> None:
    with_labels = critical_scores(SCORES, safe_timesteps(SCORES, LABELS))
    without = critical_scores(SCORES, safe_timesteps(SCORES, None))

    np.testing.assert_array_equal(with_labels / 2, [NONE, 1, 1, NONE, 1, NONE])
    np.testing.assert_array_equal(without / 2, [NONE, 1, 1, NONE, 1, 1])


def test_conformal_threshold_on_the_example() -> None:
    critical = critical_scores(SCORES, safe_timesteps(SCORES, LABELS))

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


def test_the_promise_holds_as_often_as_it_says() -> None:
    """Draw critical scores of a known law; the true risk of a threshold is its tail."""
    draw, budget, n_draws = rng(), 0.01, 4000

    betas = np.array(
        [
            risk_threshold(draw.exponential(size=450), budget, 0.9)
            for _ in range(n_draws)
        ]
    )

    broken = (np.exp(-betas) > budget).mean()
    assert broken <= 0.1 + 3 * np.sqrt(0.1 * 0.9 / n_draws)
    assert broken > 0.02  # a threshold far too high would never break it


def test_the_mean_risk_of_the_conformal_threshold_is_within_the_budget() -> None:
    draw, n_draws = rng(), 4000

    risks = np.exp(
        [-conformal_threshold(draw.exponential(size=450), 0.01) for _ in range(n_draws)]
    )

    assert risks.mean() <= 0.01 + 3 * risks.std() / np.sqrt(n_draws)


def some_scores(seed: int) -> IntArray:
    return rng(seed).integers(0, 3, size=(30, 6, 4)).cumsum(axis=1)


@given(seed=st.integers(0, 1000), low=st.integers(-1, 8), more=st.integers(0, 8))
@settings(deadline=None)
def test_a_higher_threshold_never_stops_earlier(seed: int, low: int, more: int) -> None:
    scores = some_scores(seed)

    earlier, later = stops(scores, risk(low)), stops(scores, risk(low + more))

    assert np.all(earlier <= later)


@given(seed=st.integers(0, 1000), beta=st.integers(-1, 8))
@settings(deadline=None)
def test_the_loss_bounded_is_no_less_than_the_accuracy_lost(
    seed: int, beta: int
) -> None:
    scores = some_scores(seed)
    labels = rng(seed + 1).integers(0, 4, size=30)
    for y in (labels, None):
        critical = critical_scores(scores, safe_timesteps(scores, y))

        lost = loss_of_stopping(scores, y, stops(scores, risk(beta)))

        assert lost <= (critical > beta).mean() + 1e-12


def test_a_gap_equal_to_the_threshold_does_not_stop() -> None:
    scores = np.array([[5, 3, 0], [6, 3, 0]])

    np.testing.assert_array_equal(risk(2)(scores, 1), [False, True])
    np.testing.assert_array_equal(gaps(scores), [2, 3])


def test_equal_scores_answer_the_first_class_with_no_gap() -> None:
    scores = np.array([[4, 7, 7]])

    assert answers(scores).tolist() == [1]
    assert gaps(scores).tolist() == [0]


def test_fixed_and_never() -> None:
    scores = some_scores(0)

    assert set(stops(scores, fixed(3))) == {3}
    assert set(stops(scores, never)) == {6}


SETTINGS: dict[str, Any] = {
    "rule": "risk",
    "budget": 0.01,
    "confidence": 0.9,
    "network_sha256": "n",
    "inputs_sha256": "i",
}


def test_too_few_inputs_never_stop_early() -> None:
    found = calibrate(SCORES, LABELS, **SETTINGS)

    assert isinstance(found, Calibration)
    assert not found.stops_early
    assert found.mean_timesteps == 4
    assert (found.n_inputs, found.n_inputs_needed) == (6, 230)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": 0.0}, "budget is 0.0"),
        ({"budget": 1.5}, "budget is 1.5"),
        ({"confidence": 1.0}, "confidence is 1.0"),
        ({"rule": "luck"}, "no rule is called 'luck'"),
    ],
)
def test_settings_out_of_range_are_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(CalibrationError, match=message):
        calibrate(SCORES, LABELS, **{**SETTINGS, **changes})


def test_the_published_rule_needs_labels() -> None:
    with pytest.raises(CalibrationError, match="topk needs labels"):
        calibrate(SCORES, None, **{**SETTINGS, "rule": "topk"})
