"""Rules that end a run once the outputs have settled.

A rule looks at the accumulated outputs ``(n, n_classes)`` of a timestep, counted from
1, and says which inputs have their answer. The last timestep ends a run in any case.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from snn_deploy.arrays import BoolArray, FloatArray, IntArray
from snn_deploy.host.oracle import gaps

Cutoff = Callable[[IntArray, int], BoolArray]


@dataclass(frozen=True)
class GapCutoff:
    """Stop an input once its best output leads the second by more than a threshold.

    A machine that knows the thresholds can stop by itself; see ``betas``.
    """

    beta_at: Callable[[int], float]  # the threshold of a timestep, counted from 1

    def __call__(self, scores: IntArray, timestep: int) -> BoolArray:
        settled: BoolArray = gaps(scores) > self.beta_at(timestep)
        return settled

    def betas(self, n_timesteps: int) -> FloatArray:
        """Return the thresholds of all timesteps, ``(n_timesteps,)``."""
        return np.array([self.beta_at(t) for t in range(1, n_timesteps + 1)], float)


never = GapCutoff(lambda timestep: np.inf)  # every input runs for all timesteps


def fixed(n_timesteps: int) -> Cutoff:
    """Stop every input after the same number of timesteps."""
    return GapCutoff(lambda timestep: -np.inf if timestep >= n_timesteps else np.inf)


def topk(betas: FloatArray) -> Cutoff:
    """Stop once the gap between the two best outputs is over its timestep's threshold.

    The rule of [1]_, with K = 2.

    Parameters
    ----------
    betas : array, (n_timesteps,)

    References
    ----------
    .. [1] D. Wu et al., "Optimizing event-driven spiking neural network with
       regularization and cutoff", Front. Neurosci. 19, 2025.
    """
    return GapCutoff(lambda timestep: float(betas[timestep - 1]))


def risk(beta: float) -> Cutoff:
    """Stop an input once its best output leads the second by more than ``beta``."""
    return GapCutoff(lambda timestep: beta)
