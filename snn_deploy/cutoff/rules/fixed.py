"""``fixed:T``: every input stops after T timesteps, whatever its outputs are."""

from dataclasses import replace

import numpy as np

from snn_deploy.arrays import FloatArray, IntArray
from snn_deploy.cutoff.decision import Cutoff, GapCutoff
from snn_deploy.cutoff.evidence import Evidence
from snn_deploy.cutoff.rules.rule import Calibration, Rule, Settings, bound_at


def fixed(n_timesteps: int) -> Cutoff:
    """Stop every input after the same number of timesteps."""
    return GapCutoff(lambda timestep: -np.inf if timestep >= n_timesteps else np.inf)


class Fixed(Rule):
    """The same timesteps for all: what every cutoff is held against."""

    name = "fixed"
    takes_timestep = True
    decides_by_input = False

    def looks(self, settings: Settings, n_timesteps: int) -> IntArray:
        return np.array([settings.at])

    def betas(
        self, evidence: Evidence, settings: Settings, looks: IntArray, scale: float
    ) -> FloatArray:
        return np.full(evidence.n_timesteps, -np.inf)

    def bound(self, found: Calibration, n_unsafe: int) -> float:
        return bound_at(found, n_unsafe)

    def variants(
        self, settings: Settings, n_timesteps: int
    ) -> list[tuple[str, Settings]]:
        timesteps = range(1, n_timesteps + 1)
        return [(f"fixed:{t}", replace(settings, at=t)) for t in timesteps]

    def comparison_in_words(self) -> str:
        return "each row's bound holds alone, for a t chosen on other inputs (--split)"

    def in_words(self, found: Calibration) -> str:
        return f"every input stops after timestep {found.looks[0]}"

    def promise_in_words(self, found: Calibration) -> list[str]:
        return [
            "promise: none for a timestep that was chosen on these inputs (choose it "
            f"on the half that --split shows); else {found.loss_in_words} <= "
            f"{found.loss_bound:.4f}, {found.certainty_in_words}"
        ]
