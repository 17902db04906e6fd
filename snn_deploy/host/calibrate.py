"""Find the cutoff's threshold on calibration data.

``risk`` promises: with probability ``confidence`` over the draw of the calibration
inputs, stopping early costs at most ``budget`` (accuracy lost with labels, answers
changed without). ``topk`` is the published rule, which promises nothing.
"""

from dataclasses import dataclass

import numpy as np

from snn_deploy.arrays import FloatArray, IntArray, read_only
from snn_deploy.errors import CalibrationError
from snn_deploy.host.cutoff import Cutoff, risk, topk
from snn_deploy.host.oracle import (
    agreement_timesteps,
    answers,
    gaps,
    optimal_cutoff_timesteps,
    stays_true,
)

RULES = ("risk", "topk")
N_BINS = 100


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """Thresholds, what they promise, and for which network they hold."""

    rule: str
    betas: FloatArray  # (timesteps,); the rule "risk" has one value in all
    budget: float
    confidence: float
    uses_labels: bool
    n_inputs: int
    n_inputs_needed: int  # fewer inputs than this can promise nothing
    timesteps: int
    network_sha256: str
    inputs_sha256: str
    mean_timesteps: float  # seen on the calibration inputs
    loss: float  # seen there: accuracy lost, or answers changed

    def __post_init__(self) -> None:
        object.__setattr__(self, "betas", read_only(self.betas, np.float64))
        if self.rule not in RULES or self.betas.shape != (self.timesteps,):
            raise CalibrationError(
                f"a calibration of rule {self.rule!r} with {self.betas.shape} "
                f"thresholds for {self.timesteps} timesteps is damaged"
            )

    @property
    def cutoff(self) -> Cutoff:
        """The rule with its thresholds."""
        return risk(float(self.betas[0])) if self.rule == "risk" else topk(self.betas)

    @property
    def stops_early(self) -> bool:
        """Whether any input can stop before the last timestep."""
        return bool(np.isfinite(self.betas[:-1]).any() or (self.betas[:-1] < 0).any())


def stops(scores: IntArray, cutoff: Cutoff) -> IntArray:
    """Return the timestep at which each input stops, ``(n,)``.

    ``scores`` are the accumulated outputs ``(n, n_timesteps, n_classes)``.
    """
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


def critical_scores(scores: IntArray, safe: IntArray) -> FloatArray:
    """Return the largest gap before the safe timestep, minus infinity if there is none.

    A threshold below an input's critical score stops it too early.
    """
    gap = gaps(scores).astype(np.float64)
    timesteps = np.arange(1, scores.shape[1] + 1)
    before = timesteps < safe[:, np.newaxis]
    critical: FloatArray = np.where(before, gap, -np.inf).max(axis=1)
    return critical


def inputs_needed(budget: float, confidence: float) -> int:
    """Return how many calibration inputs a promise needs at least."""
    return int(np.ceil(np.log(1 - confidence) / np.log(1 - budget)))


def risk_threshold(critical: FloatArray, budget: float, confidence: float) -> float:
    """Return the smallest threshold whose loss is bounded with high probability.

    The loss of an input, 1 if its critical score is over the threshold, is binary and
    falls as the threshold grows, so an order statistic bounds it: with k the largest
    number with P(Binomial(n, budget) <= k) <= 1 - confidence, the (k + 1)-th largest
    critical score. Infinite if n is too small for any k.
    """
    from scipy.stats import binom

    n = len(critical)
    k = int(binom.ppf(1 - confidence, n, budget))
    while k >= 0 and binom.cdf(k, n, budget) > 1 - confidence:
        k -= 1
    if k < 0:
        return float("inf")
    return float(np.sort(critical)[::-1][k])


def conformal_threshold(critical: FloatArray, budget: float) -> float:
    """Return the smallest threshold whose loss is bounded in expectation.

    The k-th smallest critical score, k = ceil((n + 1) (1 - budget)); infinite if k > n.
    """
    n = len(critical)
    k = int(np.ceil((n + 1) * (1 - budget) - 1e-9))
    return float("inf") if k > n else float(np.sort(critical)[k - 1])


def topk_thresholds(
    scores: IntArray, labels: IntArray, epsilon: float, n_bins: int = N_BINS
) -> FloatArray:
    """Return the published rule's threshold for each timestep, as its authors find it.

    The thresholds tried are ``m * largest_gap / n_bins`` for m from 0, the same grid at
    all timesteps; the smallest with confidence >= 1 - epsilon is taken, where the
    confidence is the share of stable-correct inputs among those with a larger gap. The
    last one of the grid always passes. ``scores`` are those of calibration data.
    """
    gap = gaps(scores)
    right = stays_true(answers(scores) == labels[:, np.newaxis])
    grid = np.arange(n_bins) * (gap.max() / n_bins)
    betas = np.empty(scores.shape[1])
    for t in range(scores.shape[1]):
        over = gap[:, t, np.newaxis] > grid
        n_over = over.sum(axis=0)
        n_right = (over & right[:, t, np.newaxis]).sum(axis=0)
        passes = (n_over > 0) & (n_right >= (1 - epsilon) * n_over - 1e-9)
        passes[-1] = True
        betas[t] = grid[passes.argmax()]
    return betas


def loss_of_stopping(
    scores: IntArray, labels: IntArray | None, timesteps: IntArray
) -> float:
    """Return the accuracy lost by stopping at ``timesteps``, or answers changed."""
    found = answers(scores)
    early = found[np.arange(len(found)), timesteps - 1]
    if labels is None:
        return float((early != found[:, -1]).mean())
    return float((found[:, -1] == labels).mean() - (early == labels).mean())


def calibrate(
    scores: IntArray,
    labels: IntArray | None,
    *,
    rule: str,
    budget: float,
    confidence: float,
    network_sha256: str,
    inputs_sha256: str,
) -> Calibration:
    """Return the thresholds of ``rule`` for calibration outputs.

    Parameters
    ----------
    scores : array, (n, n_timesteps, n_classes)
        Accumulated outputs of the compiled network, all timesteps of each input.
    labels : array, (n,), or None
        Without labels ``risk`` bounds the share of changed answers.
    rule : {"risk", "topk"}
    budget : float
        The loss allowed; for ``topk`` its epsilon.
    confidence : float
        Of the promise of ``risk``.
    network_sha256, inputs_sha256 : str
        What the thresholds hold for, and what they come from.

    Raises
    ------
    CalibrationError
        If a setting is out of range, or ``topk`` has no labels.
    """
    check_settings(rule, budget, confidence, labels)
    if scores.shape[2] < 2:
        raise CalibrationError(
            "the network has one output, so there is no answer to stop at; calibrate "
            "one with an output for each class"
        )
    n_timesteps = scores.shape[1]
    if rule == "risk":
        critical = critical_scores(scores, safe_timesteps(scores, labels))
        beta = risk_threshold(critical, budget, confidence)
        betas: FloatArray = np.full(n_timesteps, beta)
        cutoff = risk(beta)
    else:
        assert labels is not None
        betas = topk_thresholds(scores, labels, budget)
        cutoff = topk(betas)
    timesteps = stops(scores, cutoff)
    return Calibration(
        rule=rule,
        betas=betas,
        budget=budget,
        confidence=confidence,
        uses_labels=labels is not None,
        n_inputs=len(scores),
        n_inputs_needed=inputs_needed(budget, confidence) if rule == "risk" else 1,
        timesteps=n_timesteps,
        network_sha256=network_sha256,
        inputs_sha256=inputs_sha256,
        mean_timesteps=float(timesteps.mean()),
        loss=loss_of_stopping(scores, labels, timesteps),
    )


def check_settings(
    rule: str, budget: float, confidence: float, labels: IntArray | None
) -> None:
    """Raise a ``CalibrationError`` if ``calibrate`` would refuse these settings."""
    if rule not in RULES:
        raise CalibrationError(
            f"no rule is called {rule!r}; choose {' or '.join(RULES)}"
        )
    if not 0 < budget < 1:
        raise CalibrationError(f"budget is {budget}; choose one between 0 and 1")
    if not 0 < confidence < 1:
        raise CalibrationError(
            f"confidence is {confidence}; choose one between 0 and 1"
        )
    if rule == "topk" and labels is None:
        raise CalibrationError(
            "the rule topk needs labels; add y to the data, or use risk"
        )
