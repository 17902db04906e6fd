"""``spikecp``: stop once few enough classes are left in a conformal set [1]_.

References
----------
.. [1] J. Chen, S. Park, O. Simeone, "Knowing When to Stop: Delay-Adaptive Spiking
   Neural Network Classifiers with Reliability Guarantees", 2023, arXiv 2305.11322.
"""

import numpy as np

from snn_deploy.arrays import BoolArray, FloatArray, IntArray
from snn_deploy.cutoff.decision import Cutoff
from snn_deploy.cutoff.evidence import Evidence
from snn_deploy.cutoff.rules.rule import (
    Calibration,
    Rule,
    Settings,
    looks_in_words,
    thresholds_in_words,
)
from snn_deploy.cutoff.scores import log_softmax
from snn_deploy.cutoff.thresholds import conformal_threshold, inputs_needed_on_average


def spikecp(losses: FloatArray, scale: float, largest_set: int = 1) -> Cutoff:
    """Stop once few enough classes are left in the conformal prediction set [1]_.

    Parameters
    ----------
    losses : array, (n_timesteps,)
        A class is in the set if its logarithmic loss is no larger.
    scale : float
        Of the outputs, for their softmax.
    largest_set : int
        How many classes may be left.

    References
    ----------
    .. [1] J. Chen, S. Park, O. Simeone, "Knowing When to Stop: Delay-Adaptive Spiking
       Neural Network Classifiers with Reliability Guarantees", 2023, arXiv 2305.11322.
    """

    def is_settled(scores: IntArray, timestep: int) -> BoolArray:
        in_set = -log_softmax(scores, scale) <= losses[timestep - 1]
        settled: BoolArray = in_set.sum(axis=-1) <= largest_set
        return settled

    return is_settled


class SpikeCP(Rule):
    """The conformal rule, with its authors' Bonferroni correction."""

    name = "spikecp"
    needs_labels = True
    reads_gap = False

    def inputs_needed(self, settings: Settings, n_looks: int) -> int:
        return inputs_needed_on_average(settings.budget / n_looks)

    def betas(
        self, evidence: Evidence, settings: Settings, looks: IntArray, scale: float
    ) -> FloatArray:
        assert evidence.labels is not None
        budget = settings.budget
        return spikecp_thresholds(
            evidence.scores, evidence.labels, budget, looks, scale
        )

    def cutoff(self, found: Calibration) -> Cutoff:
        return spikecp(found.betas, found.scale)

    def threshold(self, found: Calibration, timestep: int) -> float | None:
        return None

    def in_words(self, found: Calibration) -> str:
        return f"{thresholds_in_words(found)}{looks_in_words(found)}"


def spikecp_thresholds(
    scores: IntArray, labels: IntArray, budget: float, polled: IntArray, scale: float
) -> FloatArray:
    """Return SpikeCP's largest logarithmic loss in the set, for each timestep.

    The budget is shared equally by the timesteps looked at (Bonferroni); each has the
    conformal quantile of the right class's loss. Infinite, so that no class is ever
    left out, where the inputs are too few or there is no poll.
    """
    at_label = labels[:, np.newaxis, np.newaxis]
    losses = -np.take_along_axis(log_softmax(scores, scale), at_label, axis=2)[..., 0]
    found = np.full(scores.shape[1], np.inf)
    for t in polled:
        found[t - 1] = conformal_threshold(losses[:, t - 1], budget / len(polled))
    return found
