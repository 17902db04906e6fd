"""intervals: they are SciPy's, and hold what they say as often as they say."""

import numpy as np
import pytest
from scipy import stats

from snn_deploy.arrays import AnyArray
from snn_deploy.profile.intervals import (
    Interval,
    difference,
    difference_of_shares,
    paired_difference,
    paired_ratio,
    ratio,
    share_interval,
)
from tests.build import rng

N, TRIALS = 40, 400
IN_95_OF_100 = (0.91, 0.985)  # four standard errors around 0.95 in 400 trials


def costs(seed: int, n: int = N) -> tuple[AnyArray, AnyArray]:
    """Return costs before and after: 3 and 4 on average, of inputs that differ."""
    draw = rng(seed)
    size = draw.gamma(9.0, 1 / 3, n)
    return size, size * draw.normal(4 / 3, 0.05, n)


def test_a_paired_difference_is_the_t_test_of_scipy() -> None:
    before, after = costs(1)

    found = paired_difference(before, after)

    expected = stats.ttest_rel(after, before).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.mean == pytest.approx(after.mean() - before.mean())


def test_an_unpaired_difference_is_welchs_of_scipy() -> None:
    before, after = costs(1)[0], costs(2, n=25)[1]

    found = difference(before, after)

    test = stats.ttest_ind(after, before, equal_var=False)
    expected = test.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def holds(found: Interval | None, truth: float) -> bool:
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    return found.low <= truth <= found.high


def test_a_paired_ratio_is_held_in_95_of_100_draws() -> None:
    hits = [holds(paired_ratio(*costs(seed)), 1 / 3) for seed in range(TRIALS)]

    assert IN_95_OF_100[0] <= np.mean(hits) <= IN_95_OF_100[1]


def test_an_unpaired_ratio_is_held_in_95_of_100_draws() -> None:
    hits = [
        holds(ratio(costs(seed)[0], costs(TRIALS + seed)[1]), 1 / 3)
        for seed in range(TRIALS)
    ]

    assert IN_95_OF_100[0] <= np.mean(hits) <= IN_95_OF_100[1]


def test_a_difference_of_shares_is_held_in_95_of_100_draws() -> None:
    draw = rng(0)
    hits = [
        holds(difference_of_shares(draw.random(60) < 0.9, draw.random(80) < 0.95), 0.05)
        for _ in range(TRIALS)
    ]

    assert IN_95_OF_100[0] <= np.mean(hits) <= IN_95_OF_100[1]


def test_pairs_tell_more_than_means() -> None:
    before, after = costs(1)

    paired, apart = paired_ratio(before, after), ratio(before, after)

    assert paired is not None
    assert apart is not None
    assert paired.high is not None
    assert apart.high is not None
    assert paired.mean == pytest.approx(apart.mean)
    assert paired.high - paired.mean < (apart.high - apart.mean) / 3


@pytest.mark.parametrize("compared", [paired_difference, difference])
def test_one_input_has_no_interval(compared: object) -> None:
    assert callable(compared)
    found = compared(np.array([1.0]), np.array([3.0]))

    assert found == Interval(mean=2.0, low=None, high=None)


def test_nothing_has_no_share() -> None:
    nothing, something = np.zeros(3), np.ones(3)

    assert paired_ratio(nothing, something) is None
    assert ratio(nothing, something) is None


@pytest.mark.parametrize("compared", [paired_difference, difference])
def test_what_never_changes_has_an_interval_of_no_width(compared: object) -> None:
    assert callable(compared)
    same = np.full(5, 2.0)

    assert compared(same, same) == Interval(mean=0.0, low=0.0, high=0.0)


def test_the_interval_of_shares_is_scipys() -> None:
    n_of, n = np.array([0, 7, 30]), np.array([30, 30, 30])

    low, high = share_interval(n_of, n)

    for i in range(3):
        found = stats.binomtest(int(n_of[i]), 30).proportion_ci(0.95, "wilson")
        assert (low[i], high[i]) == pytest.approx((found.low, found.high), abs=1e-5)
