"""``topk``: the published rule, exactly as its authors run it [1]_.

A threshold for each timestep, from calibration data, at confidence 1 - epsilon. It
promises nothing about other inputs, and serves to reproduce their tables.

References
----------
.. [1] D. Wu et al., "Optimizing event-driven spiking neural network with
   regularization and cutoff", Front. Neurosci. 19, 2025.
"""

from dataclasses import replace

import numpy as np

from snn_deploy.arrays import FloatArray, IntArray
from snn_deploy.cutoff.decision import Cutoff, GapCutoff
from snn_deploy.cutoff.evidence import Evidence
from snn_deploy.cutoff.oracle import answers, gaps, stays_true
from snn_deploy.cutoff.rules.rule import Rule, Settings

N_BINS = 100
N_EPSILONS = 10
EPSILON = 0.01  # of the published rule, and the step of its sweep


def topk(betas: FloatArray) -> Cutoff:
    """Stop once the gap between the two best outputs is over its timestep's threshold.

    The published rule, with K = 2.

    Parameters
    ----------
    betas : array, (n_timesteps,)
    """
    return GapCutoff(lambda timestep: float(betas[timestep - 1]))


class TopK(Rule):
    """The paper's rule."""

    name = "topk"
    needs_labels = True
    takes_zero_budget = True
    budget_in_words = "epsilon"

    def betas(
        self, evidence: Evidence, settings: Settings, looks: IntArray, scale: float
    ) -> FloatArray:
        assert evidence.labels is not None
        return topk_thresholds(evidence.scores, evidence.labels, settings.budget)

    def variants(
        self, settings: Settings, n_timesteps: int
    ) -> list[tuple[str, Settings]]:
        found = epsilons(settings.budget or EPSILON)
        return [(f"{e:.1%}", replace(settings, budget=float(e))) for e in found]


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


def epsilons(step: float) -> FloatArray:
    """Return the epsilons that the authors of ``topk`` sweep: 0, 1, ... 9 steps."""
    return step * np.arange(N_EPSILONS)
