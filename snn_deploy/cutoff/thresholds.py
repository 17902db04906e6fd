"""Thresholds from the outputs of calibration inputs, one function for each way.

``scores`` are accumulated outputs ``(n, n_timesteps, n_classes)``, ``values`` what a
score makes of them ``(n, n_timesteps)``, ``polled`` the timesteps looked at, counted
from 1, the last one always among them.
"""

from functools import cache

import numpy as np

from snn_deploy.arrays import AnyArray, FloatArray, IntArray
from snn_deploy.cutoff.decision import Cutoff
from snn_deploy.cutoff.oracle import (
    agreement_timesteps,
    answers,
    optimal_cutoff_timesteps,
)


def polled_timesteps(n_timesteps: int, every: int) -> IntArray:
    """Return every ``every``-th timestep, and the last."""
    return np.union1d(np.arange(every, n_timesteps + 1, every), n_timesteps)


def stops(scores: IntArray, cutoff: Cutoff) -> IntArray:
    """Return the timestep at which each input stops, ``(n,)``."""
    n_timesteps = scores.shape[1]
    settled = np.stack(
        [cutoff(scores[:, t - 1], t) for t in range(1, n_timesteps + 1)], axis=1
    )
    settled[:, -1] = True
    first: IntArray = settled.argmax(axis=1) + 1
    return first


def safe_timesteps(scores: IntArray, labels: IntArray | None) -> IntArray:
    """Return the first timestep at which stopping costs nothing, ``(n,)``.

    With labels, that is the OCT, or 1 where the last answer is wrong: waiting cannot
    help. Without, it is when the answer becomes the final one.
    """
    if labels is None:
        return agreement_timesteps(scores)
    is_right = answers(scores)[:, -1] == labels
    safe: IntArray = np.where(is_right, optimal_cutoff_timesteps(scores, labels), 1)
    return safe


def critical_scores(values: AnyArray, safe: IntArray, polled: IntArray) -> FloatArray:
    """Return the largest polled score before the safe timestep, ``(n,)``.

    A threshold below an input's critical score stops it too early. Minus infinity if
    there is no such timestep.
    """
    looked_at = polled[polled < values.shape[1]]
    before = looked_at < safe[:, np.newaxis]
    seen = np.where(before, values[:, looked_at - 1].astype(np.float64), -np.inf)
    critical: FloatArray = seen.max(axis=1, initial=-np.inf)
    return critical


def inputs_needed(budget: float, confidence: float) -> int:
    """Return how many calibration inputs a promise needs at least."""
    return int(np.ceil(np.log(1 - confidence) / np.log(1 - budget)))


def inputs_needed_on_average(budget: float) -> int:
    """Return how many calibration inputs a promise in expectation needs at least."""
    return int(np.ceil(1 / budget - 1 - 1e-9))


def risk_threshold(critical: FloatArray, budget: float, confidence: float) -> float:
    """Return the smallest threshold whose loss is bounded with high probability.

    The loss of an input, 1 if its critical score is over the threshold, is binary and
    falls as the threshold grows, so an order statistic bounds it: with k the largest
    number with P(Binomial(n, budget) <= k) <= 1 - confidence, the (k + 1)-th largest
    critical score. Infinite if n is too small for any k.
    """
    return _exceeded_by(critical, most_lost(len(critical), budget, confidence))


def _exceeded_by(critical: FloatArray, k: int) -> float:
    """Return the smallest threshold that no more than ``k`` critical scores are over.

    Fewer are where others equal it.
    """
    return float("inf") if k < 0 else float(np.sort(critical)[::-1][k])


@cache
def most_lost(n: int, budget: float, confidence: float) -> int:
    """Return how many of ``n`` a ``risk_threshold`` may lose; -1: too few for any."""
    from scipy.special import bdtr

    chances = bdtr(np.arange(n + 1.0), n, budget)  # of so many lost, or fewer
    return int(np.searchsorted(chances, 1 - confidence, side="right")) - 1


def conformal_threshold(critical: FloatArray, budget: float) -> float:
    """Return the smallest threshold whose loss is bounded in expectation.

    The k-th smallest critical score, k = ceil((n + 1) (1 - budget)); infinite if k > n.
    """
    return _exceeded_by(critical, most_lost_on_average(len(critical), budget))


def most_lost_on_average(n: int, budget: float) -> int:
    """Return how many of ``n`` a ``conformal_threshold`` may lose; -1: too few."""
    return n - int(np.ceil((n + 1) * (1 - budget) - 1e-9))


def loss_bound(n_lost: int, n: int, confidence: float) -> float:
    """Return the upper bound of a share of which ``n_lost`` of ``n`` were seen [1]_.

    Of a threshold that was chosen on the ``n`` inputs themselves it holds at the number
    that its rule allows, not at the one seen: ties can make that smaller.

    References
    ----------
    .. [1] C. Clopper, E. Pearson, "The use of confidence or fiducial limits", 1934.
    """
    if n_lost >= n:
        return 1.0
    from scipy.special import betaincinv

    return float(betaincinv(n_lost + 1, n - n_lost, confidence))


def loss_of_stopping(
    scores: IntArray, labels: IntArray | None, timesteps: IntArray
) -> float:
    """Return the accuracy lost by stopping at ``timesteps``, or answers changed."""
    found = answers(scores)
    early = found[np.arange(len(found)), timesteps - 1]
    if labels is None:
        return float((early != found[:, -1]).mean())
    return float((found[:, -1] == labels).mean() - (early == labels).mean())
