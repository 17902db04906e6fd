"""``retry:T``: stream every input for T timesteps, the undecided again for all.

It is ``risk`` with one look, at T. No pipeline has to drain before an input is decided.
"""

import numpy as np

from snn_deploy.arrays import IntArray
from snn_deploy.cutoff.decision import Cutoff, polled
from snn_deploy.cutoff.rules.risk import Risk, risk
from snn_deploy.cutoff.rules.rule import Calibration, Settings, settled_in_words
from snn_deploy.errors import CalibrationError


def retry(beta: float, at: int) -> Cutoff:
    """Look once, after ``at`` timesteps; what has not settled runs to the end."""
    return polled(risk(beta), np.array([at]))


class Retry(Risk):
    """One look; what it leaves undecided starts again."""

    name = "retry"
    takes_timestep = True
    starts_again = True

    def looks(self, settings: Settings, n_timesteps: int) -> IntArray:
        return np.union1d([settings.at], [n_timesteps])

    def check_found(self, found: Calibration) -> None:
        if len(found.polled) not in (1, 2) or found.polled[-1] != found.timesteps:
            raise CalibrationError(
                f"a calibration of the rule retry that polls {len(found.polled)} times "
                "is damaged; it looks once before the last timestep"
            )

    def in_words(self, found: Calibration) -> str:
        if not found.stops_early:
            return super().in_words(found)
        return (
            f"stop after timestep {found.retry_at} if {settled_in_words(found)}, else "
            f"start again for all {found.timesteps}; streamed"
        )
