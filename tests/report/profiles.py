"""Small profiles by hand."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from snn_deploy.artifact import Artifact, pack
from snn_deploy.backends.results import Counts
from snn_deploy.chip.target import BAND, Target, end_name
from snn_deploy.costs.energy import PARTS
from snn_deploy.cutoff.rules.rule import Calibration
from snn_deploy.ir.mapped import MappedNetwork, Neurocore, Piece
from snn_deploy.ir.quantized import (
    Change,
)
from snn_deploy.profile.profile import Profile, Schedule
from snn_deploy.profile.rows import Row, Rows
from snn_deploy.profile.summary import summarize
from snn_deploy.report.html import render
from tests.build import RATE, dense, integers, population, simulator

N_TIMESTEPS = RATE.timesteps
NO_ENERGY: dict[str, Any] = {
    end_name(f"energy_{part}_j", end): None for part in PARTS for end in BAND
}


def network(target: Target | None = None, **changes: Any) -> MappedNetwork:
    graph = integers(
        [population("hidden", (4,), offset=1), population("out", (3,), offset=2)],
        [
            dense("input", "hidden", np.ones((4, 2)), delay=0),
            dense("hidden", "out", np.ones((3, 4)), delay=0),
        ],
        shape=(2,),
    )
    lost = Change(layer="fc", kind="round weights", count=7, largest=0.5, mean=0.25)
    pieces = (
        Piece(
            population="hidden",
            neurons=np.arange(4),
            synapse_bits=64,
            n_input_axons=2,
            n_output_axons=4,
        ),
        Piece(population="out", neurons=np.arange(3), synapse_bits=96, n_input_axons=4),
    )
    return MappedNetwork(
        graph=replace(graph, **{"changes": (lost,), **changes}),
        target=target or simulator(),
        cores=(Neurocore(index=5, x=1, y=2, pieces=pieces),),
    )


def calibrated(mapped: MappedNetwork, **changes: Any) -> Artifact:
    settings: dict[str, Any] = {
        "rule": "risk",
        "betas": np.full(N_TIMESTEPS, 3.0),
        "budget": 0.02,
        "confidence": 0.9,
        "uses_labels": True,
        "n_inputs": 500,
        "n_inputs_needed": 114,
        "timesteps": N_TIMESTEPS,
        "network_sha256": pack(mapped).sha256,
        "inputs_sha256": "c0ffee",
        "mean_timesteps": 2.0,
        "loss": 0.0,
    }
    return pack(mapped, Calibration(**{**settings, **changes}))


def changed(row: Row, **changes: Any) -> Row:
    """Return a row with other values."""
    return Row(**{**vars(row), **changes})


def row(index: int, timesteps: int, **changes: Any) -> Row:
    """Return an input that costs 10 microjoules and a millisecond a timestep."""
    nothing = [
        end_name(f"energy_{part}_j", end)
        for part in ("mesh", "links", "injection", "host")
        for end in BAND
    ]
    settings: dict[str, Any] = {
        "index": index,
        "input_hash": 7 + index,
        "label": 1,
        "prediction": 1,
        "timesteps": timesteps,
        "chip_timesteps": timesteps + 2,
        "stopped_early": timesteps < N_TIMESTEPS,
        "gap": 4 + index,
        "squared_error": None,
        "absolute_error": None,
        "spikes": 100 * timesteps,
        "synaptic_operations": 1000 * timesteps,
        "packets": 200 * timesteps,
        "hops": 0,
        "crossings": 0,
        "saturations": 0,
        "wraps": 0,
        "run_on_synaptic_operations": 300 * timesteps,
        **dict.fromkeys(nothing, 0.0),
        "energy_neurocores_low_j": 2e-6 * timesteps,
        "energy_neurocores_j": 4e-6 * timesteps,
        "energy_neurocores_high_j": 8e-6 * timesteps,
        "energy_static_low_j": 1e-6 * timesteps,
        "energy_static_j": 3e-6 * timesteps,
        "energy_static_high_j": 6e-6 * timesteps,
        "energy_reset_low_j": 1e-6 * timesteps,
        "energy_reset_j": 1e-6 * timesteps,
        "energy_reset_high_j": 1e-6 * timesteps,
        "energy_embedded_low_j": 1e-6 * timesteps,
        "energy_embedded_j": 2e-6 * timesteps,
        "energy_embedded_high_j": 4e-6 * timesteps,
        "energy_run_on_low_j": 1e-7 * timesteps,
        "energy_run_on_j": 3e-7 * timesteps,
        "energy_run_on_high_j": 5e-7 * timesteps,
        "latency_low_s": 5e-4 * timesteps,
        "latency_s": 1e-3 * timesteps,
        "latency_high_s": 2e-3 * timesteps,
        "period_low_s": 5e-4 * timesteps,
        "period_s": 1e-3 * timesteps,
        "period_high_s": 2e-3 * timesteps,
    }
    return Row(**{**settings, **changes})


def early_rows(n: int, **changes: Any) -> tuple[Row, ...]:
    """Return inputs that stop after 1, 2, 3, 1, ... timesteps; the last is wrong."""
    rows = [row(i, 1 + i % 3, **changes) for i in range(n)]
    rows[-1] = changed(rows[-1], prediction=2)
    return tuple(rows)


def fixed_rows(n: int, **changes: Any) -> tuple[Row, ...]:
    return tuple(row(i, N_TIMESTEPS, **changes) for i in range(n))


def profile(n: int = 30, **changes: Any) -> Profile:
    """Return a profile with cutoff and labels."""
    runs = {
        Schedule.CUTOFF: Rows.of(changes.pop("rows", early_rows(n))),
        Schedule.SERIAL: Rows.of(changes.pop("fixed_rows", fixed_rows(n))),
    }
    if not changes.pop("has_cutoff", True):
        del runs[Schedule.CUTOFF]
    runs[Schedule.STREAMED] = Rows.of([in_stream(r) for r in runs[Schedule.SERIAL]])
    settings: dict[str, Any] = {
        "artifact": calibrated(network()),
        "backend": "cpu",
        "monitor": "embedded",
        "runs": runs,
        "fixed_timesteps": N_TIMESTEPS,
        "accuracy_at": np.linspace(0.8, 1.0, N_TIMESTEPS),
        "agreement_at": np.linspace(0.8, 1.0, N_TIMESTEPS),
        "totals": Counts.none((N_TIMESTEPS + 2,), 1, 0),
        "unknown": (),
    }
    return Profile(**{**settings, **changes})


def in_stream(row: Row) -> Row:
    """Return the input in a stream, which takes three quarters of the time."""
    period = None if row.period_s is None else 0.75 * row.period_s
    nothing = {"run_on_synaptic_operations": 0} | {
        f"energy_run_on_{end}": 0.0 for end in ("low_j", "j", "high_j")
    }
    return changed(row, chip_timesteps=row.timesteps, period_s=period, **nothing)


def without_cutoff(n: int = 30, **changes: Any) -> Profile:
    rows = fixed_rows(n)
    artifact = pack(network())
    settings = {"rows": rows, "fixed_rows": rows, "artifact": artifact}
    return profile(n, **{**settings, "has_cutoff": False, **changes})


def retried(n: int = 30) -> Profile:
    """Return two streams: two timesteps for all, all six again for every third."""
    rows = [
        row(i, 2 if i % 3 else 2 + N_TIMESTEPS, stopped_early=i % 3 > 0)
        for i in range(n)
    ]
    streamed = [changed(r, chip_timesteps=r.timesteps) for r in rows]
    looks = np.array([2, N_TIMESTEPS])
    artifact = calibrated(network(), rule="retry", polled=looks)
    return profile(n, rows=tuple(streamed), artifact=artifact, looks=looks, retry_at=2)


@cache
def page(profiled: Profile) -> str:
    return render(profiled, summarize(profiled))


CASES = {
    "cutoff": profile(),
    "no cutoff": without_cutoff(),
    "no labels": profile(
        rows=early_rows(30, label=None),
        fixed_rows=fixed_rows(30, label=None),
        accuracy_at=np.zeros(0),
    ),
    "no cutoff, no labels": without_cutoff(accuracy_at=np.zeros(0)),
    "no prices": profile(
        rows=early_rows(30, **NO_ENERGY), fixed_rows=fixed_rows(30, **NO_ENERGY)
    ),
    "retry": retried(),
    "one input": without_cutoff(1),
    "one input, cutoff": profile(1),
}
