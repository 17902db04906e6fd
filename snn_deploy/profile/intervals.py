"""How sure a mean over inputs, or the difference of two, is: 95 % intervals."""

from dataclasses import dataclass

import numpy as np

from snn_deploy.arrays import AnyArray, BoolArray, FloatArray

CONFIDENCE = 0.95
NORMAL = 1.96  # standard errors to each side of the mean


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A value and its interval; ``None``: one input tells nothing about others."""

    mean: float
    low: float | None
    high: float | None


def paired_interval(differences: FloatArray) -> dict[str, float]:
    """Return the mean of differences that are -1, 0 or 1, and its 95 % interval.

    The interval adds half an input to each of the four ways that two answers can be
    right or wrong [1]_, so that it has a width even where no answer differs.

    References
    ----------
    .. [1] A. Agresti, Y. Min, "Simple improved confidence intervals for comparing
       matched proportions", Statistics in Medicine 24, 2005.
    """
    n = len(differences) + 2
    more = np.count_nonzero(differences > 0) + 0.5
    less = np.count_nonzero(differences < 0) + 0.5
    center = (more - less) / n
    half = NORMAL * np.sqrt((more + less) / n - center**2) / np.sqrt(n)
    mean = float(differences.mean())
    return {
        "mean": mean,
        "low": max(-1.0, min(mean, float(center - half))),
        "high": min(1.0, max(mean, float(center + half))),
    }


def difference_of_shares(before: BoolArray, after: BoolArray) -> Interval:
    """Return ``after`` less ``before``, shares of different inputs.

    The interval adds a success and a failure to each of the two [1]_.

    References
    ----------
    .. [1] A. Agresti, B. Caffo, "Simple and effective confidence intervals for
       proportions and differences of proportions", The American Statistician 54, 2000.
    """
    sizes = np.array([len(before), len(after)]) + 2
    shares = np.array([before.sum(), after.sum()]) + 1
    p = shares / sizes
    center = p[1] - p[0]
    half = NORMAL * np.sqrt((p * (1 - p) / sizes).sum())
    mean = float(after.mean() - before.mean())
    return Interval(
        mean=mean,
        low=max(-1.0, min(mean, float(center - half))),
        high=min(1.0, max(mean, float(center + half))),
    )


def share_interval(n_of: AnyArray, n: AnyArray) -> tuple[FloatArray, FloatArray]:
    """Return the ends of the 95 % intervals of shares, ``n_of`` of ``n`` [1]_.

    References
    ----------
    .. [1] E. Wilson, "Probable inference, the law of succession, and statistical
       inference", Journal of the American Statistical Association 22, 1927.
    """
    n = np.asarray(n, np.float64)
    p, square = n_of / n, NORMAL**2
    center = (p + square / (2 * n)) / (1 + square / n)
    half = NORMAL * np.sqrt(p * (1 - p) / n + square / (4 * n**2)) / (1 + square / n)
    return np.maximum(center - half, 0.0), np.minimum(center + half, 1.0)


def paired_difference(before: AnyArray, after: AnyArray) -> Interval:
    """Return the mean of ``after`` less ``before`` of the same inputs (Student's t)."""
    return _around((after - before).astype(np.float64))


def paired_ratio(before: AnyArray, after: AnyArray) -> Interval | None:
    """Return by what share the mean of the same inputs changes.

    To first order in the deviations of both means. ``None`` where nothing was before.
    """
    mean = float(before.mean())
    if mean == 0:
        return None
    ratio = float(after.mean()) / mean
    spread = _around((after - ratio * before) / mean)
    return _moved(spread, ratio - 1)


def difference(before: AnyArray, after: AnyArray) -> Interval:
    """Return the mean of ``after`` less that of ``before``, of other inputs (Welch)."""
    return _apart(before.astype(np.float64), after.astype(np.float64))


def ratio(before: AnyArray, after: AnyArray) -> Interval | None:
    """Return by what share the mean changes, from inputs to others."""
    mean = float(before.mean())
    if mean == 0:
        return None
    found = float(after.mean()) / mean
    spread = _apart(found * before / mean, after / mean)
    return _moved(spread, found - 1)


def _moved(spread: Interval, center: float) -> Interval:
    """Return an interval around 0 around another mean."""
    if spread.low is None or spread.high is None:
        return Interval(mean=center, low=None, high=None)
    return Interval(mean=center, low=center + spread.low, high=center + spread.high)


def _around(values: FloatArray) -> Interval:
    n = len(values)
    error = values.std(ddof=1) / np.sqrt(n) if n > 1 else None
    return _interval(float(values.mean()), error, n - 1)


def _apart(before: FloatArray, after: FloatArray) -> Interval:
    mean = float(after.mean() - before.mean())
    sizes = np.array([len(before), len(after)])
    if sizes.min() < 2:
        return _interval(mean, None, 0)
    variances = np.array([before.var(ddof=1), after.var(ddof=1)]) / sizes
    total = variances.sum()
    freedom = total**2 / (variances**2 / (sizes - 1)).sum() if total > 0 else 1.0
    return _interval(mean, np.sqrt(total), freedom)


def _interval(mean: float, error: float | None, freedom: float) -> Interval:
    from scipy.special import stdtrit

    if error is None:
        return Interval(mean=mean, low=None, high=None)
    half = float(stdtrit(freedom, 0.5 + CONFIDENCE / 2) * error)
    return Interval(mean=mean, low=mean - half, high=mean + half)
