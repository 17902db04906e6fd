"""drift: an alarm where inputs change, and hardly any where they do not."""

import itertools

import numpy as np
import pytest

from snn_deploy.arrays import BoolArray, FloatArray
from snn_deploy.cutoff.drift import (
    StreamWatch,
    audits,
    compare,
    first_score,
    is_lost,
    least_share,
    look,
)
from snn_deploy.cutoff.rules.rule import Calibration
from snn_deploy.errors import CalibrationError
from tests.build import rng

NOBODY = np.zeros(0, np.bool_)


def calibrated(first_scores: FloatArray, budget: float = 0.01) -> Calibration:
    return Calibration(
        rule="risk",
        betas=np.full(4, 3.0),
        budget=budget,
        confidence=0.9,
        uses_labels=True,
        n_inputs=len(first_scores),
        n_inputs_needed=230,
        timesteps=4,
        network_sha256="n",
        inputs_sha256="i",
        mean_timesteps=2.0,
        loss=0.0,
        first_scores=np.sort(first_scores),
    )


def lost(n: int, n_lost: int) -> BoolArray:
    return np.arange(n) < n_lost


def test_equal_scores_hardly_ever_raise_the_alarm() -> None:
    draw = rng()
    alarms = [
        look(calibrated(draw.normal(size=800)), draw.normal(size=500), NOBODY).is_alarm
        for _ in range(400)
    ]

    assert np.mean(alarms) <= 0.01 + 3 * np.sqrt(0.01 * 0.99 / 400)


def test_shifted_scores_raise_the_alarm() -> None:
    draw = rng()

    found = look(calibrated(draw.normal(size=800)), draw.normal(0.5, size=500), NOBODY)

    assert found.is_alarm
    assert found.scores_differ
    assert not found.loss_exceeds
    assert found.p_value < 1e-6
    assert 0.1 < found.distance < 0.4  # of the two laws: 0.197


@pytest.mark.parametrize(
    ("n", "n_lost", "is_alarm"),
    [(229, 229, False), (230, 6, True), (230, 5, False), (1000, 10, False)],
)
def test_the_audit_alarms_once_its_lower_bound_is_over_the_budget(
    n: int, n_lost: int, is_alarm: bool
) -> None:
    same = rng().normal(size=300)

    found = look(calibrated(same), same, lost(n, n_lost))

    assert found.loss_exceeds == found.is_alarm == is_alarm
    assert found.has_enough == (n >= 230)
    assert (found.n_audited, found.n_lost) == (n, n_lost)


def test_the_lower_bound_is_exceeded_as_rarely_as_it_says() -> None:
    """P(X >= k) at the bound is 5 %: the definition of Clopper and Pearson."""
    from scipy.stats import binom

    for n, k in ((230, 6), (1000, 17), (50, 50)):
        low = least_share(k, n)

        assert binom.sf(k - 1, n, low) == pytest.approx(0.05)
    assert least_share(0, 100) == 0


def test_a_stream_of_equal_scores_is_looked_at_often_and_hardly_ever_alarms() -> None:
    draw, alarms = rng(), 0
    for _ in range(60):
        watch = StreamWatch(calibrated(draw.normal(size=800)))
        for score in draw.normal(size=10_000):
            watch.add(float(score), None)
        alarms += watch.is_alarm
        assert watch.n_windows == 20

    assert alarms / 60 <= 0.01 + 3 * np.sqrt(0.01 * 0.99 / 60)


def test_a_stream_that_shifts_alarms_within_a_window() -> None:
    draw = rng()
    watch = StreamWatch(calibrated(draw.normal(size=800)))
    before = [watch.add(float(s), None) for s in draw.normal(size=2000)]

    after = [watch.add(float(s), None) for s in draw.normal(0.7, size=1000)]

    assert not any(before)
    assert after.index(True) == 499
    assert sum(after) == 1  # it is new once
    assert watch.drift.scores_differ


def test_a_loss_at_the_budget_hardly_ever_alarms_however_often_one_looks() -> None:
    draw, alarms, n_streams = rng(), 0, 200
    for _ in range(n_streams):
        watch = StreamWatch(calibrated(np.zeros(0), budget=0.02))
        alarms += any(watch.add(0.0, bool(x)) for x in draw.random(2000) < 0.02)

    assert alarms / n_streams <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / n_streams)


def test_a_loss_over_the_budget_is_found() -> None:
    draw = rng()
    watch = StreamWatch(calibrated(np.zeros(0), budget=0.02))

    found = [watch.add(0.0, bool(x)) for x in draw.random(2000) < 0.08]

    assert any(found)
    assert 230 <= found.index(True) + 1 < 600
    assert watch.drift.loss_exceeds
    assert not watch.drift.scores_differ


def test_the_alarm_is_raised_once_the_bet_has_won_twenty_times_its_stake() -> None:
    draw = rng()
    watch = StreamWatch(calibrated(np.zeros(0), budget=0.02))

    for is_lost_ in draw.random(2000) < 0.05:
        before = watch.winnings
        if watch.add(0.0, bool(is_lost_)):
            break

    assert watch.n_audited > 230
    assert before < 20 <= watch.winnings


def test_the_bet_wins_what_the_likelihood_of_larger_losses_says() -> None:
    """3 lost of 250 at a budget of 30 %: the larger losses under 1 are 37.5 to 90 %."""
    watch = StreamWatch(calibrated(np.zeros(0), budget=0.3), n_audited=250, n_lost=3)

    shares = [0.375, 0.45, 0.6, 0.9]
    won = [(p / 0.3) ** 3 * ((1 - p) / 0.7) ** 247 for p in shares]
    assert watch.winnings == pytest.approx(np.mean(won))


def test_few_audited_inputs_are_not_enough_whatever_they_lose() -> None:
    watch = StreamWatch(calibrated(np.zeros(0)))

    found = [watch.add(0.0, True) for _ in range(230)]

    assert found.index(True) == 229


def test_what_is_lost() -> None:
    early, last = np.array([1, 2, 3, 4]), np.array([1, 5, 5, 4])

    assert is_lost(early, last, None).tolist() == [False, True, True, False]
    labels = np.array([1, 5, 3, 0])
    assert is_lost(early, last, labels).tolist() == [False, True, False, False]


def test_the_first_score_is_that_of_the_first_timestep_looked_at() -> None:
    scores = np.array([[1, 5, 3], [4, 9, 2], [9, 9, 9]])

    assert first_score(calibrated(np.zeros(0)), scores) == 2
    rarely = calibrated(np.zeros(0)).polled_every(2)
    assert first_score(rarely, scores) == 5


def test_audited_inputs_are_always_the_same() -> None:
    first, second = (list(itertools.islice(audits(0.05), 10_000)) for _ in range(2))

    assert first == second
    assert 400 < sum(first) < 600
    assert not any(itertools.islice(audits(0), 100))
    assert all(itertools.islice(audits(1), 100))


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(CalibrationError, match=r"audit is .*; choose a share"):
        next(audits(share))


@pytest.mark.parametrize("seed", range(20))
def test_the_p_value_is_near_that_of_scipy(seed: int) -> None:
    from scipy.stats import ks_2samp

    draw = rng(seed)
    before = np.sort(draw.normal(size=draw.integers(20, 2000)))
    now = draw.normal(0.3 * draw.random(), size=draw.integers(20, 2000))

    distance, p_value = compare(calibrated(before), now)

    exact = ks_2samp(before, now, method="asymp")
    assert distance == pytest.approx(exact.statistic, abs=1e-12)
    assert p_value == pytest.approx(exact.pvalue, rel=0.15, abs=1e-9)
