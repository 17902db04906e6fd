"""``confidence`` and ``entropy``: thresholds on the softmax of the outputs.

What is done elsewhere: the smallest threshold whose loss on the calibration inputs is
within the budget. It promises nothing about other inputs.
"""

import numpy as np

from snn_deploy.arrays import AnyArray, FloatArray, IntArray
from snn_deploy.cutoff.evidence import Evidence
from snn_deploy.cutoff.rules.rule import Rule, Settings
from snn_deploy.cutoff.scores import score_called
from snn_deploy.cutoff.thresholds import loss_of_stopping

N_CANDIDATES = 200


class Confidence(Rule):
    """The probability of the best output."""

    name = "confidence"
    reads_gap = False

    def score(self, settings: Settings) -> str:
        return self.name

    def betas(
        self, evidence: Evidence, settings: Settings, looks: IntArray, scale: float
    ) -> FloatArray:
        values = score_called(self.name, scale)(evidence.scores)
        beta = seen_threshold(
            evidence.scores, evidence.labels, values, settings.budget, looks
        )
        return np.full(evidence.n_timesteps, beta)


class Entropy(Confidence):
    """The entropy of the outputs, negated."""

    name = "entropy"


def seen_threshold(
    scores: IntArray,
    labels: IntArray | None,
    values: AnyArray,
    budget: float,
    polled: IntArray,
) -> float:
    """Return the smallest threshold whose loss on these inputs is within the budget.

    What is done where no promise is asked for. Up to 200 quantiles of the polled scores
    are tried.
    """
    looked_at = np.zeros(values.shape[1], np.bool_)
    looked_at[polled - 1] = True
    candidates = np.quantile(values[:, looked_at], np.linspace(0, 1, N_CANDIDATES))
    for candidate in (-np.inf, *np.unique(candidates)):
        settled = (values > candidate) & looked_at
        settled[:, -1] = True
        timesteps = settled.argmax(axis=1) + 1
        if loss_of_stopping(scores, labels, timesteps) <= budget:
            return float(candidate)
    return float("inf")
