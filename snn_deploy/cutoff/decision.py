"""Rules that end a run once the outputs have settled.

A rule is a function of the accumulated outputs ``(n, n_classes)`` and the timestep,
counted from 1; it says which inputs have their answer. The last timestep ends a run in
any case. A rule with a setting is a function that returns one.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from snn_deploy.arrays import BoolArray, FloatArray, IntArray
from snn_deploy.cutoff.oracle import gaps
from snn_deploy.cutoff.scores import Score

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


def over(score: Score, betas: FloatArray) -> Cutoff:
    """Stop once a score is over its timestep's threshold; see ``host.scores``."""
    if score is gaps:
        return GapCutoff(lambda timestep: float(betas[timestep - 1]))

    def is_settled(scores: IntArray, timestep: int) -> BoolArray:
        settled: BoolArray = score(scores) > betas[timestep - 1]
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
