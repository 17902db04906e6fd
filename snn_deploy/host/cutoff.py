"""Rules that end a run once the outputs have settled.

A rule is a function of the accumulated outputs ``(n, n_classes)`` and the timestep,
counted from 1; it says which inputs have their answer. The last timestep ends a run in
any case. A rule with a setting is a function that returns one.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from snn_deploy.arrays import BoolArray, FloatArray, IntArray
from snn_deploy.fixedpoint import VOLTAGE_LIMIT
from snn_deploy.host.oracle import answers, gaps
from snn_deploy.host.scores import Score, log_softmax

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


@dataclass(frozen=True)
class PolledCutoff:
    """A rule that looks at some timesteps only."""

    cutoff: Cutoff
    looks: frozenset[int]

    def __call__(self, scores: IntArray, timestep: int) -> BoolArray:
        if timestep in self.looks:
            return self.cutoff(scores, timestep)
        return np.zeros(len(scores), np.bool_)


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


def retry(beta: float, at: int) -> Cutoff:
    """Look once, after ``at`` timesteps; what has not settled runs to the end."""
    return polled(risk(beta), np.array([at]))


def over(score: Score, betas: FloatArray) -> Cutoff:
    """Stop once a score is over its timestep's threshold; see ``host.scores``."""
    if score is gaps:
        return topk(betas)

    def is_settled(scores: IntArray, timestep: int) -> BoolArray:
        settled: BoolArray = score(scores) > betas[timestep - 1]
        return settled

    return is_settled


def certain(gains: FloatArray, steps: FloatArray, n_timesteps: int) -> Cutoff:
    """Stop once the timesteps that are left cannot change the answer.

    Parameters
    ----------
    gains : array, (n_classes, n_classes)
        How much the first class can gain on the second in a timestep at most.
    steps : array, (n_classes,)
        How much an output can change in a timestep at most; while it could saturate,
        nothing is certain. See ``host.certain`` for both.
    n_timesteps : int
        How long an input lasts.
    """
    others = gains[~np.eye(len(gains), dtype=bool)]
    if np.all(others == others[0]) and not np.any(steps):  # the runner-up decides
        gain = float(others[0])
        return GapCutoff(lambda timestep: (n_timesteps - timestep) * gain)

    def is_settled(scores: IntArray, timestep: int) -> BoolArray:
        left = n_timesteps - timestep
        best = answers(scores)
        lead = np.take_along_axis(scores, best[:, np.newaxis], axis=1) - scores
        is_ahead = lead > left * gains.T[best]
        is_ahead[np.arange(len(best)), best] = True
        is_inside: BoolArray = np.abs(scores) + left * steps <= VOLTAGE_LIMIT
        return np.asarray((is_ahead & is_inside).all(axis=1), np.bool_)

    return is_settled


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


def polled(cutoff: Cutoff, timesteps: IntArray) -> Cutoff:
    """Return the rule that looks at these timesteps only."""
    looks = frozenset(timesteps.tolist())
    if isinstance(cutoff, GapCutoff):
        beta_at = cutoff.beta_at
        return GapCutoff(lambda t: beta_at(t) if t in looks else np.inf)
    return PolledCutoff(cutoff, looks)


def looks_of(cutoff: Cutoff, n_timesteps: int) -> IntArray:
    """Return the timesteps at which a rule may stop an input, and the last."""
    timesteps = np.arange(1, n_timesteps + 1)
    may_stop = np.ones(n_timesteps, np.bool_)
    if isinstance(cutoff, GapCutoff):
        may_stop = cutoff.betas(n_timesteps) < np.inf
    if isinstance(cutoff, PolledCutoff):
        may_stop = np.isin(timesteps, list(cutoff.looks))
    may_stop[-1] = True
    found: IntArray = timesteps[may_stop]
    return found
