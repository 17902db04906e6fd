"""The promise of ``risk``: draw calibrations from known laws, count how often it fails.

Each draw calibrates on critical scores of a law whose tail is known, so the true risk
of a threshold is computed, not estimated.
"""

from collections.abc import Callable

import numpy as np
import pytest

from snn_deploy.arrays import FloatArray
from snn_deploy.host.thresholds import conformal_threshold, risk_threshold
from tests.build import rng

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
