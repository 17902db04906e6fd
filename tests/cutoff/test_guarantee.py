"""The promise of ``risk``: draw calibrations from known laws, count how often it fails.

Each draw calibrates on critical scores of a law whose tail is known, so the true risk
of a threshold is computed, not estimated.
"""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from snn_deploy.arrays import FloatArray, IntArray
from snn_deploy.cutoff.calibrate import calibrate
from snn_deploy.cutoff.oracle import answers, gaps
from snn_deploy.cutoff.rules.risk import risk
from snn_deploy.cutoff.rules.rule import Settings
from snn_deploy.cutoff.thresholds import (
    conformal_threshold,
    critical_scores,
    risk_threshold,
    safe_timesteps,
    stops,
)
from tests.build import rng
from tests.cutoff.test_calibrate import evidence

N_DRAWS = 20_000
BUDGET, CONFIDENCE = 0.01, 0.9
Draw = Callable[[np.random.Generator, int], FloatArray]
Tail = Callable[[float], float]


def exponential(draw: np.random.Generator, n: int) -> FloatArray:
    return draw.exponential(size=n)


def exponential_tail(beta: float) -> float:
    return float(np.exp(-beta))


def mixed(draw: np.random.Generator, n: int) -> FloatArray:
    """Draw minus infinity for 95 % of the inputs, else 0 to 9: ties are the rule."""
    is_safe = draw.random(n) < 0.95
    return np.where(is_safe, -np.inf, draw.integers(0, 10, size=n))


def mixed_tail(beta: float) -> float:
    return 0.05 * float(np.clip(9 - np.floor(beta), 0, 10)) / 10 if beta >= 0 else 0.05


LAWS = [
    pytest.param(exponential, exponential_tail, id="exponential"),
    pytest.param(mixed, mixed_tail, id="mixed"),
]


def risks(
    find: Callable[[FloatArray], float], law: Draw, tail: Tail, n: int
) -> FloatArray:
    draw = rng(n)
    return np.array([tail(find(law(draw, n))) for _ in range(N_DRAWS)])


@pytest.mark.parametrize(("law", "tail"), LAWS)
@pytest.mark.parametrize("n", [230, 450])
def test_the_promise_fails_no_more_often_than_it_says(
    law: Draw, tail: Tail, n: int
) -> None:
    found = risks(lambda c: risk_threshold(c, BUDGET, CONFIDENCE), law, tail, n)

    failed = (found > BUDGET).mean()
    delta = 1 - CONFIDENCE
    assert failed <= delta + 3 * np.sqrt(delta * CONFIDENCE / N_DRAWS)


def test_the_promise_is_not_kept_by_never_stopping() -> None:
    found = risks(
        lambda c: risk_threshold(c, BUDGET, CONFIDENCE),
        exponential,
        exponential_tail,
        450,
    )

    # at n = 450 one critical score may be over the threshold: P(Bin(450, .01) <= 1)
    exact = 0.99**450 + 450 * 0.01 * 0.99**449
    assert abs((found > BUDGET).mean() - exact) < 4 * np.sqrt(exact / N_DRAWS)
    assert found.min() > 0


@pytest.mark.parametrize(("law", "tail"), LAWS)
@pytest.mark.parametrize("n", [99, 450])
def test_the_risk_is_within_the_budget_on_average(
    law: Draw, tail: Tail, n: int
) -> None:
    found = risks(lambda c: conformal_threshold(c, BUDGET), law, tail, n)

    assert found.mean() <= BUDGET + 3 * found.std() / np.sqrt(N_DRAWS)


@pytest.mark.parametrize(("law", "tail"), LAWS)
def test_too_few_inputs_never_stop_early(law: Draw, tail: Tail) -> None:
    draw = rng()

    for n in (0, 1, 50, 98):
        assert conformal_threshold(law(draw, n), BUDGET) == np.inf
    for n in (0, 1, 150, 229):
        assert risk_threshold(law(draw, n), BUDGET, CONFIDENCE) == np.inf


def pool(n_classes: int, n_timesteps: int, seed: int = 0) -> tuple[IntArray, IntArray]:
    """Return outputs, some equal to others, and labels, mostly the last answers."""
    size = (3000, n_timesteps, n_classes)
    scores = rng(seed).integers(0, 30, size).cumsum(axis=1)
    labels = answers(scores)[:, -1]
    is_wrong = rng(seed + 1).random(len(labels)) < 0.1
    return scores, np.where(is_wrong, (labels + 1) % n_classes, labels)


EQUAL = (np.full((3000, 4, 3), 7), np.arange(3000) % 3)


@pytest.mark.parametrize("has_labels", [True, False])
@pytest.mark.parametrize(
    ("scores", "labels"),
    [
        pytest.param(*pool(2, 4), id="two classes"),
        pytest.param(*pool(3, 4), id="three classes"),
        pytest.param(*pool(3, 1), id="one timestep"),
        pytest.param(*EQUAL, id="all equal"),
    ],
)
def test_the_promise_is_kept_from_outputs_to_stops(
    scores: IntArray, labels: IntArray, has_labels: bool
) -> None:
    """The law is the pool itself, so the share of it stopped too early is the risk."""
    known = labels if has_labels else None
    safe = safe_timesteps(scores, known)
    polled = np.arange(1, scores.shape[1] + 1)
    critical = critical_scores(gaps(scores), safe, polled)
    draw, n, budget = rng(5), 45, 0.05  # the fewest that can promise it

    @cache
    def risk_of(beta: float) -> float:
        return float((stops(scores, risk(beta)) < safe).mean())

    drawn = [critical[draw.integers(0, len(critical), n)] for _ in range(N_DRAWS)]
    sure = np.array([risk_of(risk_threshold(c, budget, CONFIDENCE)) for c in drawn])
    mean = np.array([risk_of(conformal_threshold(c, budget)) for c in drawn])

    delta = 1 - CONFIDENCE
    limit = delta + 3 * np.sqrt(delta * CONFIDENCE / N_DRAWS)
    assert (sure > budget).mean() <= limit
    assert mean.mean() <= budget + 3 * mean.std() / np.sqrt(N_DRAWS)


def tied() -> tuple[IntArray, IntArray]:
    """Return 1,000 outputs, and labels; 88 of the answers change at the end.

    Their gaps before tie: 38 are of 3, 26 of 2, 24 of 1. So large are the bounds for
    0, 1 and 2 of 60 lost, where those at the number seen err most often.
    """
    scores = np.zeros((1000, 2, 2), np.int64)
    scores[:, 1, 0] = 5
    scores[:88, 0, 1] = np.repeat([3, 2, 1], [38, 26, 24])
    scores[88:, 0, 0] = 4
    return scores, np.zeros(1000, np.int64)


N_TIED = 1500


@pytest.mark.parametrize("form", ["probability", "expectation"])
def test_the_bound_that_is_shown_covers_the_loss_under_ties(form: str) -> None:
    scores, labels = tied()
    draw, n, asked = rng(7), 60, Settings(budget=0.1, form=form)
    bounds, found = np.empty(N_TIED), np.empty(N_TIED)
    for i in range(N_TIED):
        mine = draw.integers(0, 1000, n)
        calibration = calibrate(evidence(scores[mine], labels[mine]), asked)
        bounds[i] = calibration.loss_bound
        found[i] = np.mean(scores[:88, 0, 1] > calibration.betas[0]) * 0.088

    assert (bounds <= 0.1).all()
    assert 0 < found.mean() <= bounds.mean() + 3 * found.std() / np.sqrt(N_TIED)
    if form == "probability":
        delta = 1 - CONFIDENCE
        limit = delta + 3 * np.sqrt(delta * CONFIDENCE / N_TIED)
        assert 0.05 < (found > bounds).mean() <= limit
    assert len(np.unique(bounds)) == 1  # the draw does not choose it
