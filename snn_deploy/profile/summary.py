"""What a profile says in all: means, losses and savings, as ``summary.json`` holds."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from snn_deploy.chip.events import LINKS
from snn_deploy.costs.conventional import conventional
from snn_deploy.costs.energy import TOTAL
from snn_deploy.cutoff.drift import in_words
from snn_deploy.ir.quantized import AT_LIMITS
from snn_deploy.profile.intervals import paired_interval
from snn_deploy.profile.loads import loads_of
from snn_deploy.profile.profile import Profile, Schedule
from snn_deploy.profile.rivals import (
    best_rivals,
    conventional_wins,
    fair,
    one_pass_compared,
    warning,
)
from snn_deploy.profile.schedules import (
    means_of,
    other_monitor,
    schedules,
    winners,
)
from snn_deploy.profile.targets import OnTarget
from snn_deploy.version import __version__


def summarize(
    profile: Profile,
    targets: Sequence[OnTarget] = (),
    neurobench: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the summary of a profile, ready for JSON; units are in the names.

    Parameters
    ----------
    profile : Profile
    targets : sequence of OnTarget
        What the same integers take on several targets, if that was asked.
    neurobench : dict, optional
        The ``metrics`` of NeuroBench, if they were measured.
    """
    network = profile.artifact.network
    training = network.graph.training
    found = schedules(profile)
    rivals, passed = best_rivals(profile, found), one_pass_compared(profile, found)
    return {
        "program": __version__,
        "network": network.graph.name,
        "network_sha256": profile.artifact.sha256,
        "target": network.target.name,
        "prices": network.target.price_set,
        "backend": profile.backend,
        "monitor": profile.monitor,
        "n_inputs": len(profile.rows),
        "n_failed": len(profile.failed),
        "timesteps": training.timesteps,
        "one_pass_of": network.graph.one_pass_of,
        "pipeline_depth": network.graph.depth,
        "cutoff": _cutoff(profile),
        "with_cutoff": (
            means_of(profile, Schedule.CUTOFF) if profile.has_cutoff else None
        ),
        "all_timesteps": means_of(profile, Schedule.SERIAL),
        "energy_boundary": TOTAL,
        "schedules": found,
        "fixed_timesteps": profile.fixed_timesteps,
        "fixed_is_calibrated": profile.has_cutoff and profile.fixed_is_calibrated,
        "best_schedule": winners({name: found[name] for name in _as_good(profile)}),
        "best_rivals": rivals,
        "one_pass": passed,
        "conventional_wins": conventional_wins(profile, passed),
        "other_monitor": other_monitor(profile),
        "all_timesteps_streamed_chip_timesteps": training.timesteps,
        "accuracy_at_timestep": [round(float(a), 6) for a in profile.accuracy_at],
        "agreement_at_timestep": [round(float(a), 6) for a in profile.agreement_at],
        "mean_squared_error_at_timestep": profile.squared_error_at.tolist(),
        "accuracy_lost": _paired_loss(profile),
        "cutoff_costs_more": warning(rivals),
        "conventional": conventional(network.graph),
        "neurobench": neurobench,
        "neurocores": loads_of(profile).as_json(network),
        "links": _links(profile),
        "limits": _limits(profile),
        "targets": [asdict(target) for target in targets],
        "drift": _drift(profile),
        "energy_note": network.target.energy_note,
        "unknown": list(profile.unknown),
        "input_values_rounded": profile.n_rounded,
        "how_known": {
            "answers, timesteps, spikes, packets": "measured on the simulated chip",
            "energy, latency": "modelled: counts times the prices of the target",
        },
    }


def _as_good(profile: Profile) -> list[str]:
    """Return the names of the schedules that may be called the best."""
    own = [Schedule.CUTOFF] if profile.has_cutoff else []
    return [schedule.value for schedule in (*own, *fair(profile))]


def _links(profile: Profile) -> list[dict[str, Any]]:
    """Return the mean packets of an input on each link between chips."""
    links = profile.artifact.network.crossings.links
    n_packets = profile.totals.chip[:, LINKS].sum(axis=0) / len(profile.rows)
    return [
        {"from": [*link.start], "to": [*link.end], "mean_packets": float(n)}
        for link, n in zip(links, n_packets, strict=True)
    ]


def _limits(profile: Profile) -> dict[str, Any]:
    """Return how often states met the limits of the chip, at all timesteps."""
    rows, changes = profile.fixed_rows, profile.artifact.network.graph.changes
    counts = {name: rows.column(name) for name in ("saturations", "wraps")}
    is_limited = counts["saturations"] + counts["wraps"] > 0
    return {
        "n_inputs": int(is_limited.sum()),
        **{name: int(column.sum()) for name, column in counts.items()},
        "layers": [*dict.fromkeys(c.layer for c in changes if c.kind in AT_LIMITS)],
    }


def _cutoff(profile: Profile) -> dict[str, Any] | None:
    calibration = profile.artifact.calibration
    if not profile.has_cutoff or calibration is None:
        return None
    looks = profile.looks if len(profile.looks) else calibration.looks
    is_looked_at = np.isin(np.arange(1, calibration.timesteps + 1), looks)
    betas = np.where(is_looked_at, calibration.betas, np.inf)
    return {
        **calibration.as_json(),
        "beta": [float(b) if np.isfinite(b) else str(b) for b in betas],
        "looks": looks.tolist(),
    }


def _drift(profile: Profile) -> dict[str, Any] | None:
    if profile.drift is None:
        return None
    text = in_words(profile.drift)
    return {**vars(profile.drift), "is_alarm": profile.drift.is_alarm, "text": text}


def _paired_loss(profile: Profile) -> dict[str, float] | None:
    """Return the accuracy that the cutoff cost, with its interval."""
    early, fixed = profile.rows, profile.fixed_rows
    mine = profile.artifact.calibration
    is_decided = mine is not None and mine.found_by  # once, and so at all timesteps
    if not profile.has_cutoff or not early.has_labels or is_decided:
        return None
    return paired_interval(fixed.is_right.astype(np.float64) - early.is_right)
