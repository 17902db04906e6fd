"""Results that must be equal, and what a network does in numbers."""

import itertools
import time
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.cases import Case, multiplications
from benchmarks.contender import Setting
from benchmarks.ours import fastest, numpy_batch, reference_scores, run_engine
from snn_deploy.artifact import read_artifact, write_artifact
from snn_deploy.backends.engine.compiled import Engine, available
from snn_deploy.backends.engine.cpu import CpuBackend

THREADS = (1, 2, 3)
LOADS = 3


class DifferenceError(Exception):
    """Two ways to compute one thing gave different results."""


def check_equality(case: Case) -> dict[str, object]:
    """Return what was found equal.

    Raises
    ------
    DifferenceError
        If anything is not.
    """
    engine = Engine(case.network, fastest())
    never = np.full(case.n_timesteps, np.inf)
    stimuli = case.stimuli[:64]
    for program, threads in itertools.product(available(), THREADS):
        for mode in ("", "counted"):
            setting = Setting(program, threads, mode=mode)
            found = run_engine(engine, setting, stimuli, never).scores
            if not np.array_equal(found, case.scores[: len(stimuli)]):
                raise DifferenceError(f"{case.name}: {setting.key} differs")
    n = min(numpy_batch(case), len(stimuli))
    if not np.array_equal(reference_scores(case, stimuli[:n]), case.scores[:n]):
        raise DifferenceError(f"{case.name}: the engine differs from the reference")
    return {
        "instructions": available(),
        "threads": list(THREADS),
        "inputs": len(stimuli),
        "inputs of the reference": n,
    }


def facts(case: Case) -> dict[str, float]:
    """Return sizes and the activity of a network."""
    engine, never = Engine(case.network, fastest()), np.full(case.n_timesteps, np.inf)
    stimuli = case.stimuli[:16]
    counted = run_engine(engine, Setting(fastest(), mode="counted"), stimuli, never)
    n = len(stimuli) * case.n_timesteps
    neurons = sum(p.size for p in case.graph.populations)

    def mean(event: str) -> float:
        return sum(counted.activity(i).total(event) for i in range(len(counted))) / n

    return {
        "timesteps": case.n_timesteps,
        "depth": case.graph.depth,
        "neurons": neurons,
        "weights": sum(p.synapses.weights.size for p in case.graph.projections),
        "dense products": multiplications(case.graph),
        "synaptic operations": mean("synaptic_operation"),
        "activity": mean("fire") / neurons,
        "inputs": len(case.stimuli),
    }


def load_seconds(case: Case, folder: Path) -> float:
    """Write the network as a file; return how long it takes to load it [s]."""
    path = folder / f"{case.name}.snn"
    write_artifact(case.artifact, path)
    times = []
    for _ in range(LOADS):
        start = time.perf_counter()
        CpuBackend().load(read_artifact(path).network)
        times.append(time.perf_counter() - start)
    return median(times)
