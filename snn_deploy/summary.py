"""What a profile says in all: means, losses and savings, as ``summary.json`` holds."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from snn_deploy import __version__
from snn_deploy.arrays import FloatArray
from snn_deploy.energy import PARTS
from snn_deploy.profile import Profile, Row


def summarize(profile: Profile) -> dict[str, Any]:
    """Return the summary of a profile, ready for JSON; units are in the names."""
    network = profile.artifact.network
    training = network.graph.training
    return {
        "program": __version__,
        "network": network.graph.name,
        "network_sha256": profile.artifact.sha256,
        "target": network.target.name,
        "backend": profile.backend,
        "monitor": profile.monitor,
        "n_inputs": len(profile.rows),
        "timesteps": training.timesteps,
        "pipeline_depth": network.graph.depth,
        "cutoff": _cutoff(profile),
        "with_cutoff": _means(profile.rows) if profile.has_cutoff else None,
        "all_timesteps": _means(profile.fixed_rows),
        "all_timesteps_streamed_chip_timesteps": training.timesteps,
        "accuracy_at_timestep": [round(float(a), 6) for a in profile.accuracy_at],
        "accuracy_lost": _paired_loss(profile),
        "cutoff_costs_more": _warning(profile),
        "energy_note": network.target.energy_note,
        "unknown": list(profile.unknown),
        "input_values_rounded": profile.n_rounded,
        "how_known": {
            "answers, timesteps, spikes, packets": "measured on the simulated chip",
            "energy, latency": "modelled: counts times the prices of the target",
        },
    }


def _cutoff(profile: Profile) -> dict[str, Any] | None:
    calibration = profile.artifact.calibration
    if not profile.has_cutoff or calibration is None:
        return None
    return {
        "rule": calibration.rule,
        "budget": calibration.budget,
        "confidence": calibration.confidence,
        "uses_labels": calibration.uses_labels,
        "n_calibration_inputs": calibration.n_inputs,
        "n_calibration_inputs_needed": calibration.n_inputs_needed,
        "stops_early": calibration.stops_early,
        "mean_timesteps_calibration": calibration.mean_timesteps,
        "loss_calibration": calibration.loss,
        "beta": [float(b) if np.isfinite(b) else str(b) for b in calibration.betas],
    }


def _means(rows: Sequence[Row]) -> dict[str, Any]:
    names = [
        "timesteps",
        "chip_timesteps",
        "spikes",
        "synaptic_operations",
        "packets",
        "hops",
        "latency_s",
        "latency_high_s",
        "energy_j",
        "energy_high_j",
        *(f"energy_{part}_{end}" for part in PARTS for end in ("j", "high_j")),
    ]
    means: dict[str, Any] = {f"mean_{name}": _mean(rows, name) for name in names}
    labelled = [row for row in rows if row.label is not None]
    means["accuracy"] = _mean(labelled, "is_right") if labelled else None
    means["stopped_early"] = _mean(rows, "stopped_early")
    return means


def _warning(profile: Profile) -> str:
    """Return a sentence if the cutoff takes more time or energy than it saves."""
    costly = [
        f"{name} ({early / fixed - 1:+.0%})"
        for name, key in (("time", "latency_s"), ("energy", "energy_j"))
        if profile.has_cutoff
        and (early := _mean(profile.rows, key)) is not None
        and (fixed := _mean(profile.fixed_rows, key)) is not None
        and early > fixed
    ]
    if not costly:
        return ""
    return (
        f"the cutoff costs more {' and '.join(costly)} than it saves: it polls the "
        f"{profile.monitor} processor at every timestep, all timesteps only once"
    )


def _mean(rows: Sequence[Row], name: str) -> float | None:
    values = [getattr(row, name) for row in rows]
    if any(value is None for value in values):
        return None
    return float(np.mean(values))


def _paired_loss(profile: Profile) -> dict[str, float] | None:
    """Return the accuracy that the cutoff cost, with its interval."""
    pairs = list(zip(profile.rows, profile.fixed_rows, strict=True))
    if not profile.has_cutoff or any(row.label is None for row, _ in pairs):
        return None
    lost = [float(fixed.is_right) - float(row.is_right) for row, fixed in pairs]
    return paired_interval(np.array(lost))


def paired_interval(differences: FloatArray) -> dict[str, float]:
    """Return the mean of differences that are -1, 0 or 1, and its 95 % interval.

    The interval adds half an input to each of the four ways that two answers can be
    right or wrong [1]_, so that it has a width even where no answer differs.

    References
    ----------
    .. [1] A. Agresti, Y. Min, "Simple improved confidence intervals for comparing
       matched proportions", Statistics in Medicine 24, 2005.
    """
    n = len(differences) + 2
    more = np.count_nonzero(differences > 0) + 0.5
    less = np.count_nonzero(differences < 0) + 0.5
    center = (more - less) / n
    half = 1.96 * np.sqrt((more + less) / n - center**2) / np.sqrt(n)
    mean = float(differences.mean())
    return {
        "mean": mean,
        "low": max(-1.0, min(mean, float(center - half))),
        "high": min(1.0, max(mean, float(center + half))),
    }
