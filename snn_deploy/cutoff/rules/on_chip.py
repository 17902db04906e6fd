"""``on-chip``: the network's own neurons hold the rule, and one spikes for the answer.

See ``snn_deploy.compiler.lower.decide``. No calibration finds it: it is what becomes of
another rule, whose promise it keeps.
"""

from dataclasses import replace

import numpy as np

from snn_deploy.arrays import FloatArray
from snn_deploy.cutoff.decision import GapCutoff
from snn_deploy.cutoff.rules.rule import Calibration, Rule, rules
from snn_deploy.errors import CalibrationError

NAME = "on-chip"


class OnChip(Rule):
    """The answer is the neuron that spikes; the host reads once."""

    name = NAME
    is_asked = False

    def check_found(self, found: Calibration) -> None:
        if found.found_by not in rules() or np.any(found.betas != 0):
            raise CalibrationError(
                f"a calibration of the rule {NAME} by {found.found_by[:100]!r} with "
                f"thresholds {found.betas[:3]} is damaged"
            )

    def bound(self, found: Calibration, n_unsafe: int) -> float:
        return found.loss_bound

    def in_words(self, found: Calibration) -> str:
        return (
            f"stop at the first spike of the output, which the chip gives by the rule "
            f"{found.found_by}; nobody reads before"
        )

    def promise_in_words(self, found: Calibration) -> list[str]:
        return rules()[found.found_by].promise_in_words(found)


def thresholds(found: Calibration) -> FloatArray:
    """Return the thresholds on the gap of all timesteps, for a chip to hold.

    Raises
    ------
    CalibrationError
        If the rule is no threshold on the gap, or something else reads the outputs.
    """
    cutoff = found.cutoff
    if found.method.starts_again or not isinstance(cutoff, GapCutoff):
        raise CalibrationError(
            f"the rule {found.rule} with score {found.score} is no threshold on the "
            "gap at every timestep; calibrate with the rule risk"
        )
    return cutoff.betas(found.timesteps)


def moved(found: Calibration, network_sha256: str) -> Calibration:
    """Return what a network promises that holds the rule of ``found`` itself."""
    is_first = found.first_scores > thresholds(found)[found.looks[0] - 1]
    return replace(
        found,
        rule=NAME,
        found_by=found.rule,
        betas=np.zeros(found.timesteps),
        scale=1.0,
        polled=np.zeros(0, np.int64),
        gains=np.zeros(0),
        steps=np.zeros(0),
        first_scores=is_first.astype(np.float64),
        fixed_timesteps=0,
        network_sha256=network_sha256,
    )
