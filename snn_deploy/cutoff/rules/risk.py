"""``risk``: one threshold with a promise.

With probability ``confidence`` over the draw of the calibration inputs, or on average
over it, stopping early costs at most ``budget``: accuracy lost with labels, answers
changed without.
"""

import numpy as np

from snn_deploy.arrays import FloatArray, IntArray
from snn_deploy.cutoff.decision import Cutoff, GapCutoff
from snn_deploy.cutoff.evidence import Evidence
from snn_deploy.cutoff.rules.rule import Calibration, Rule, Settings, bound_at
from snn_deploy.cutoff.scores import score_called
from snn_deploy.cutoff.thresholds import (
    conformal_threshold,
    critical_scores,
    inputs_needed,
    inputs_needed_on_average,
    most_lost,
    most_lost_on_average,
    risk_threshold,
    safe_timesteps,
)


def risk(beta: float) -> Cutoff:
    """Stop an input once its best output leads the second by more than ``beta``."""
    return GapCutoff(lambda timestep: beta)


class Risk(Rule):
    """One threshold, whose loss is bounded."""

    name = "risk"
    takes_score = True
    has_promise = True

    def inputs_needed(self, settings: Settings, n_looks: int) -> int:
        if settings.form == "expectation":
            return inputs_needed_on_average(settings.budget)
        return inputs_needed(settings.budget, settings.confidence)

    def betas(
        self, evidence: Evidence, settings: Settings, looks: IntArray, scale: float
    ) -> FloatArray:
        values = score_called(settings.score, scale)(evidence.scores)
        safe = safe_timesteps(evidence.scores, evidence.labels)
        critical = critical_scores(values, safe, looks)
        if settings.form == "expectation":
            beta = conformal_threshold(critical, settings.budget)
        else:
            beta = risk_threshold(critical, settings.budget, settings.confidence)
        return np.full(evidence.n_timesteps, beta)

    def bound(self, found: Calibration, n_unsafe: int) -> float:
        """Return the bound at the rank of the threshold.

        Ties leave fewer inputs over it than would have been allowed, and a bound at
        what is seen would not hold.
        """
        if found.form == "expectation":
            return bound_at(found, most_lost_on_average(found.n_inputs, found.budget))
        return bound_at(
            found, most_lost(found.n_inputs, found.budget, found.confidence)
        )

    def promise_in_words(self, found: Calibration) -> list[str]:
        lines = [
            f"promise: {found.loss_in_words} <= {found.budget:g}, "
            f"{found.certainty_in_words} over the draw of the {found.n_inputs} "
            "calibration inputs"
        ]
        if found.n_inputs < found.n_inputs_needed:
            lines.append(
                f"{found.n_inputs} calibration inputs cannot promise that; at least "
                f"{found.n_inputs_needed} are needed"
            )
        return lines
