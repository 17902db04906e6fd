"""Rules that end a run once the outputs have settled.

A rule looks at the accumulated outputs ``(n, n_classes)`` of a timestep, counted from
1, and says which inputs have their answer. The last timestep ends a run in any case.
"""

from collections.abc import Callable

import numpy as np

from snn_deploy.arrays import BoolArray, FloatArray, IntArray
from snn_deploy.host.oracle import gaps

Cutoff = Callable[[IntArray, int], BoolArray]


def never(scores: IntArray, timestep: int) -> BoolArray:
    """Run every input for all timesteps."""
    return np.zeros(len(scores), np.bool_)


def fixed(n_timesteps: int) -> Cutoff:
    """Stop every input after the same number of timesteps."""

    def is_settled(scores: IntArray, timestep: int) -> BoolArray:
        return np.full(len(scores), timestep >= n_timesteps)

    return is_settled


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

    def is_settled(scores: IntArray, timestep: int) -> BoolArray:
        settled: BoolArray = gaps(scores) > betas[timestep - 1]
        return settled

    return is_settled


def risk(beta: float) -> Cutoff:
    """Stop an input once its best output leads the second by more than ``beta``."""

    def is_settled(scores: IntArray, timestep: int) -> BoolArray:
        settled: BoolArray = gaps(scores) > beta
        return settled

    return is_settled
