"""Repeat a few inputs on Lava, which shares no code with the cpu backend: all is equal.

A profile compares answers and counts, a verification every spike, current and voltage.
"""

from dataclasses import fields

import numpy as np

from snn_deploy.artifact import Artifact
from snn_deploy.backends.protocol import QUANTITIES, Recording
from snn_deploy.backends.registry import CHECK, DEFAULT, is_installed, open_backend
from snn_deploy.backends.results import Activity, RunResult
from snn_deploy.cutoff.decision import Cutoff, never
from snn_deploy.cutoff.monitor import run_inputs
from snn_deploy.data.data import Data
from snn_deploy.errors import BackendError
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.verify.result import LavaCheck


def cross_check(artifact: Artifact, data: Data, cutoff: Cutoff | None, n: int) -> str:
    """Return a sentence on the comparison of the first ``n`` inputs.

    Each runs with the cutoff, if there is one, and for all timesteps.

    Raises
    ------
    BackendError
        If Lava and the cpu backend differ in any output of any timestep.
    """
    if not is_installed(CHECK):
        return "Lava is not installed: the cpu backend runs alone"
    rules: list[Cutoff] = [never] if cutoff is None else [cutoff, never]
    results: dict[str, list[RunResult]] = {}
    for name in (DEFAULT, CHECK):
        program = open_backend(name).load(artifact.network)
        try:
            results[name] = [
                result
                for rule in rules
                for result in run_inputs(
                    program, artifact.network, data.stimuli(n), rule
                )
            ]
        finally:
            program.close()
    for mine, other in zip(results[DEFAULT], results[CHECK], strict=True):
        same_counts = all(
            np.array_equal(
                getattr(mine.activity, counts.name),
                getattr(other.activity, counts.name),
            )
            for counts in fields(Activity)
        )
        if not (np.array_equal(mine.scores, other.scores) and same_counts):
            raise BackendError(
                f"input {mine.index}: cpu and Lava differ, after {mine.timesteps} and "
                f"{other.timesteps} timesteps; report this with the model"
            )
    n_timesteps = sum(result.timesteps for result in results[CHECK])
    return (
        f"cross-checked {min(n, len(data))} inputs on Lava: equal outputs and "
        f"counts at all {n_timesteps} timesteps"
    )


def check_lava(
    artifact: Artifact, data: Data, n: int
) -> tuple[LavaCheck | None, tuple[str, ...]]:
    """Return the comparison of the first ``n`` inputs, if there is one, and notes."""
    if n == 0:
        return None, ()
    if not is_installed(CHECK):
        return None, ("Lava is not installed: nothing was compared with it",)
    from snn_deploy.backends.lava.backend import LavaProgram

    graph, network = artifact.network.graph, artifact.network
    open_backend(CHECK)  # imports Lava
    # not loaded, which builds what runs inputs too
    programs = [open_backend(DEFAULT).load(network), LavaProgram(network)]
    n_values = 0
    try:
        for index in range(n):
            mine, theirs = (
                p.record(
                    data.stimulus(index),
                    QUANTITIES,
                    n_timesteps=int(data.ends[index]),
                )
                for p in programs
            )
            mismatch = first_mismatch(graph, mine, theirs)
            n_values += sum(values.size for values in mine.values())
            if mismatch:
                mismatch = f"input {index}: {mismatch}"
                break
    finally:
        for program in programs:
            program.close()
    return LavaCheck(n_inputs=index + 1, n_values=n_values, mismatch=mismatch), ()


def first_mismatch(graph: QuantizedGraph, mine: Recording, theirs: Recording) -> str:
    """Return in words where two recordings first differ; empty if nowhere."""
    places = []
    for population in graph.populations:
        for quantity in QUANTITIES:
            a, b = (r[population.name, quantity] for r in (mine, theirs))
            if a.shape != b.shape:
                return f"{population.name}: {len(b)} chip timesteps instead of {len(a)}"
            differs = np.argwhere(a != b)
            if len(differs):
                row, k = (int(i) for i in differs[0])
                neuron = np.unravel_index(k, population.shape)
                text = (
                    f"{population.name}: timestep {row + 1 - population.offset}, "
                    f"neuron {' '.join(str(int(i)) for i in neuron)}: {quantity} is "
                    f"{b[row, k]} on Lava, {a[row, k]} on the cpu"
                )
                places.append((row, text))
    return min(places, key=lambda place: place[0])[1] if places else ""
